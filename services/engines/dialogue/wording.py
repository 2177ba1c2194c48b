"""The agent's own words: templates by language, filled with quotes and items."""

from typing import Final


Templates = dict[str, tuple[str, ...]]

ENGLISH: Final[Templates] = {
    "greet": ("Hello, how can I help you?", "Good day. How can I help you?"),
    "farewell": ("You are welcome. Goodbye.", "Goodbye, and take care."),
    "ask": (
        "To go on I need your {0}. Could you give me that?",
        "Could you please provide your {0}?",
    ),
    "confirm": (
        "This is what I would do: {0}. Do you confirm (yes/no)?",
        "The details are: {0}. Do you confirm that I proceed (yes/no)?",
    ),
    "stopped": ("I have left everything as it is. What should be different?",),
    "deny": (
        'I am sorry, I cannot do that. The rule is: "{0}".',
        'I cannot do that, because the rule is: "{0}".',
    ),
    "deny_again": ('I still cannot do that. The rule remains: "{0}".',),
    "not_obtained": ('Without your {0} I cannot go on. The rule is: "{1}".',),
    "inform": ('The policy says: "{0}". Is there anything else?',),
    "unknown": (
        (
            "I do not know that, and the policy says nothing about it. "
            "Is there anything else?"
        ),
    ),
    "no_tool": ("I have no tool to carry that out, so I cannot do it myself.",),
    "no_transfer": ("I cannot transfer you, as I have nobody to hand over to.",),
    "transfer": ("I am transferring you to a human agent. Please hold on.",),
    "failed": ('That did not work. The answer was: "{0}".',),
    "done": ("That has been done ({0}). Is there anything else?",),
    "and": ("and",),
}

GERMAN: Final[Templates] = {
    "greet": ("Guten Tag, wie kann ich Ihnen helfen?",),
    "farewell": ("Gern geschehen. Auf Wiedersehen.",),
    "ask": ("Dafür benötige ich von Ihnen: {0}. Können Sie mir das nennen?",),
    "confirm": ("Ich würde Folgendes tun: {0}. Bestätigen Sie das (ja/nein)?",),
    "stopped": ("Ich habe alles so gelassen. Was soll anders sein?",),
    "deny": ('Das ist leider nicht möglich. Die Regel lautet: "{0}".',),
    "deny_again": ('Das ist weiterhin nicht möglich. Die Regel bleibt: "{0}".',),
    "not_obtained": ('Ohne {0} kann ich nicht weiter helfen. Die Regel: "{1}".',),
    "inform": ('In den Regeln steht: "{0}". Kann ich sonst noch etwas tun?',),
    "unknown": (
        (
            "Das weiß ich nicht, und in den Regeln steht nichts dazu. "
            "Kann ich sonst noch etwas tun?"
        ),
    ),
    "no_tool": ("Dafür habe ich kein Werkzeug, ich kann es nicht selbst tun.",),
    "no_transfer": ("Ich kann Sie an niemanden übergeben.",),
    "transfer": ("Ich verbinde Sie mit einem Menschen. Bitte warten Sie.",),
    "failed": ('Das hat nicht geklappt. Die Antwort war: "{0}".',),
    "done": ("Das ist erledigt ({0}). Kann ich sonst noch etwas tun?",),
    "and": ("und",),
}

FRENCH: Final[Templates] = {
    "greet": ("Bonjour, comment puis-je vous aider ?",),
    "farewell": ("Je vous en prie. Au revoir.",),
    "ask": ("Pour continuer, j'ai besoin de : {0}. Pouvez-vous me le donner ?",),
    "confirm": ("Voici ce que je ferais : {0}. Confirmez-vous (oui/non) ?",),
    "stopped": ("J'ai tout laissé en l'état. Que faut-il changer ?",),
    "deny": ('Malheureusement, c\'est impossible. La règle est : "{0}".',),
    "deny_again": ('C\'est toujours impossible. La règle reste : "{0}".',),
    "not_obtained": ('Sans {0}, impossible de continuer. La règle : "{1}".',),
    "inform": ('Le règlement dit : "{0}". Désirez-vous autre chose ?',),
    "unknown": (
        "Je ne sais pas, et le règlement n'en dit rien. Désirez-vous autre chose ?",
    ),
    "no_tool": ("Je n'ai pas d'outil pour le faire moi-même.",),
    "no_transfer": ("Je n'ai personne à qui vous transmettre.",),
    "transfer": ("Je vous mets en relation avec un conseiller. Patientez.",),
    "failed": ('Cela n\'a pas marché. La réponse était : "{0}".',),
    "done": ("C'est fait ({0}). Désirez-vous autre chose ?",),
    "and": ("et",),
}

SPANISH: Final[Templates] = {
    "greet": ("Buenos días, ¿en qué puedo ayudarle?",),
    "farewell": ("De nada. Adiós.",),
    "ask": ("Para seguir necesito: {0}. ¿Puede decírmelo?",),
    "confirm": ("Esto es lo que haría: {0}. ¿Lo confirma (sí/no)?",),
    "stopped": ("Lo he dejado todo como estaba. ¿Qué debe ser distinto?",),
    "deny": ('Lamentablemente no es posible. La regla es: "{0}".',),
    "deny_again": ('Sigue siendo imposible. La regla es la misma: "{0}".',),
    "not_obtained": ('Sin {0} no puedo seguir. La regla: "{1}".',),
    "inform": ('La norma dice: "{0}". ¿Desea algo más?',),
    "unknown": ("No lo sé, y la norma no dice nada de eso. ¿Desea algo más?",),
    "no_tool": ("No tengo herramienta para hacerlo yo.",),
    "no_transfer": ("No tengo a nadie con quien pasarle.",),
    "transfer": ("Le paso con una persona. Espere, por favor.",),
    "failed": ('No ha funcionado. La respuesta fue: "{0}".',),
    "done": ("Está hecho ({0}). ¿Desea algo más?",),
    "and": ("y",),
}

AGENT: Final = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}
