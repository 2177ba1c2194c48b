"""What the rules know of a language: its stop words, negations, verbs and cue phrases.

Patterns meet folded text: NFKC, case folded, straight apostrophes.
"""

import re
from re import Pattern
from typing import Final

import msgspec


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """The words and cue phrases of one language.

    `aliases` map a stem's word to the word that stands for its concept. `asks` finds
    requests that are not questions, `denies` refusals, `done` completed work,
    `confirms` requests for a yes, `more` an offer of further help.
    """

    stemmer: str
    stop: frozenset[str]
    negations: frozenset[str]
    yes: frozenset[str]
    no: frozenset[str]
    reasons: frozenset[str]
    aliases: dict[str, str]
    asks: Pattern[str]
    denies: Pattern[str]
    done: Pattern[str]
    transfers: Pattern[str]
    confirms: Pattern[str]
    more: Pattern[str]
    farewell: Pattern[str]
    missing: Pattern[str]
    thanks: Pattern[str]
    human: Pattern[str]


def words(text: str) -> frozenset[str]:
    """Return the words of a list in one string."""
    return frozenset(text.split())


def aliases(**groups: str) -> dict[str, str]:
    """Return the concept of each word, from concepts with their words."""
    return {word: concept for concept, text in groups.items() for word in text.split()}


ENGLISH: Final = Language(
    stemmer="english",
    stop=words(
        "a about after again all also am an and any are as at be because been before "
        "being but by can can't cannot could couldn't did didn't do does doesn't doing "
        "don't down each either else few for from further had has hasn't have haven't "
        "having he her here hers him his how i i'd i'll i'm i've if in into is "
        "isn't it "
        "it's its itself just let me more most must my myself neither no nor "
        "not now of "
        "off on once only or other our ours out over own please same shall she should "
        "so some such than that that's the their theirs them then there these they "
        "this those through to too under until up us very was we we'll we're "
        "we've were "
        "what when where which while who whom why will with won't would you you'd "
        "you'll you're you've your yours yourself yes okay ok hello hi thanks thank"
    ),
    negations=words(
        "not no never cannot without neither nor none non nothing can't couldn't "
        "didn't don't doesn't hasn't haven't isn't wasn't weren't won't wouldn't "
        "shouldn't aren't unable refuse refused decline declined deny denied"
    ),
    yes=words(
        "yes yeah yep sure ok okay correct confirm confirmed agreed right please"
    ),
    no=words("no nope wrong don't stop cancel wait"),
    reasons=words("because since due as reason sick ill health weather changed"),
    aliases=aliases(
        change="modify update alter amend switch reschedule modification upgrade "
        "downgrade edit",
        bag="baggage luggage suitcase baggages",
        book="purchase",
        cancel="cancellation cancellations",
        refund="reimburse reimbursement refundable",
        compensation="voucher vouchers certificate certificates compensate",
        insurance="insured",
        human="representative supervisor person",
        id="identifier",
        passenger="passengers traveller traveler travellers travelers",
        flight="flights",
        cost="price fee total",
    ),
    asks=re.compile(
        r"\b(?:please (?:provide|share|give|tell|send|confirm|specify|let me know)|"
        r"(?:could|can|would|may|will) (?:you|i) (?:please )?(?:provide|share|"
        r"give|tell|"
        r"have|specify|send|get|confirm)|i(?:'ll| will)? (?:also )?need (?:your|the|to "
        r"know)|let me know|kindly (?:provide|share))\b"
    ),
    denies=re.compile(
        r"\b(?:(?:i|we)(?: am|'m| are|'re)? (?:still )?(?:sorry,? )?(?:but "
        r")?(?:i |we )?"
        r"(?:cannot|can't|can not|unable|not able|won't|must (?:deny|decline|refuse)|"
        r"have to (?:deny|decline|refuse))|unable to|not (?:possible|allowed|permitted|"
        r"eligible|able to)|isn't (?:possible|allowed|eligible)|(?:can ?not|can't) be|"
        r"against (?:our |the )?policy|policy does not allow|doesn't allow|"
        r"does not (?:qualify|meet)|doesn't (?:qualify|meet)|ineligible|"
        r"must (?:decline|refuse|deny))\b"
    ),
    done=re.compile(
        r"\b(?:(?:has|have) (?:now |already |just )?been (?:successfully )?\w+(?:ed|ade"
        r"|ent|en|ut|ld|one)\b|(?:i|we)(?:'ve| have) (?:now |just |successfully |"
        r"already )*(?:\w+ed|made|sent|put|done)\b|"
        r"(?:is|are|was|were) (?:now )?(?:successfully )?(?:cancelled|canceled|booked|"
        r"updated|changed|modified|refunded|confirmed|upgraded|downgraded|added|issued|"
        r"removed|complete|completed|done|resolved)\b|"
        r"successfully (?:\w+ed|done|made)|i (?:cancelled|canceled|booked|"
        r"updated|changed"
        r"|refunded|upgraded|downgraded|added|issued|removed))"
    ),
    transfers=re.compile(
        r"\b(?:being transferred|transferring you|transfer you|hand(?:ing)? you over|"
        r"connect(?:ing)? you (?:to|with))\b"
    ),
    confirms=re.compile(
        r"\b(?:do you confirm|please confirm|can you confirm|could you confirm|"
        r"confirm (?:that|if|whether|this|these|to proceed)|yes ?/ ?no|\(yes\)|"
        r"shall i|should i|(?:like|want) (?:me|us) to|is (?:that|this) "
        r"(?:correct|right|"
        r"ok|okay)|proceed\?|go ahead\?|reply (?:with )?yes|do you agree)"
    ),
    more=re.compile(
        r"\b(?:anything else|any other (?:question|request|way)|something else|"
        r"further (?:help|assistance|questions))\b"
    ),
    farewell=re.compile(
        r"\b(?:good ?bye|farewell|have a (?:nice|great|good|wonderful) |take care|"
        r"safe travels)\b"
    ),
    missing=re.compile(
        r"\b(?:(?:don't|do not|can't|cannot) (?:have|know|remember|recall|find)|"
        r"not sure|no idea|forgot|forgotten|rather not)\b"
    ),
    thanks=re.compile(
        r"\b(?:thank you|thanks|that(?:'s| is|'ll be| will be) all|nothing else|"
        r"good ?bye|bye)\b"
    ),
    human=re.compile(
        r"\b(?:speak|talk|transferred|transfer me|connect me|put me through|want|need|"
        r"get me)\b.{0,30}\b(?:human|supervisor|manager|real person|representative|"
        r"live agent)\b|\btransfer me\b"
    ),
)

GERMAN: Final = Language(
    stemmer="german",
    stop=words(
        "aber alle als also am an auch auf aus bei bin bis bitte da damit dann "
        "das dass "
        "dein deine dem den der des die dies diese dieser doch du durch ein eine einem "
        "einen einer eines er es für haben habe hat hatte hier ich ihr ihre "
        "ihren ihrem "
        "im in ist ja kann kein keine können mein meine meinen meiner mich mir "
        "mit nach "
        "nein nicht noch nur oder ohne schon sehr sein seine sich sie sind so und uns "
        "unser vom von vor war was wenn wer werden wie wir wird wo zu zum zur "
        "danke hallo"
    ),
    negations=words("nicht kein keine keinen keiner nie niemals ohne weder noch nein"),
    yes=words("ja genau richtig korrekt einverstanden gerne bestätige"),
    no=words("nein nicht falsch stopp halt"),
    reasons=words("weil da wegen grund denn krank"),
    aliases=aliases(
        ändern="geändert umbuchen anpassen aktualisieren änderung",
        buchung="reservierung buchungen",
        stornieren="storniert stornierung absagen kündigen kündigung",
        nummer="kennung code id",
    ),
    asks=re.compile(
        r"\b(?:bitte (?:nennen|geben|teilen|senden|schicken)|(?:können|könnten) "
        r"sie mir|"
        r"(?:brauche|benötige) ich|ich (?:brauche|benötige)|(?:nennen|geben) sie mir)\b"
    ),
    denies=re.compile(
        r"\b(?:(?:kann|können|darf|dürfen)\b.{0,80}?\bnicht|(?:nicht|weiterhin "
        r"nicht) (?:möglich|erlaubt|"
        r"gestattet)|leider|ablehnen|ausgeschlossen)\b"
    ),
    done=re.compile(
        r"\b(?:wurden? (?:erfolgreich )?\w+(?:t|en)|(?:ist|sind) (?:jetzt |nun )?"
        r"(?:storniert|gebucht|geändert|erledigt|abgeschlossen|erstattet)|"
        r"habe\b.{0,60}?\b(?:storniert|gebucht|geändert|erledigt|erstattet))\b"
    ),
    transfers=re.compile(r"\b(?:verbinde sie|weitergeleitet|leite sie weiter)\b"),
    confirms=re.compile(
        r"(?:bestätigen sie|ja ?/ ?nein|soll ich|einverstanden\?|stimmt das)"
    ),
    more=re.compile(r"\b(?:noch etwas|sonst noch|weitere fragen)\b"),
    farewell=re.compile(r"\b(?:auf wiedersehen|tschüss|schönen tag)\b"),
    missing=re.compile(r"\b(?:weiß ich nicht|habe ich nicht|keine ahnung|vergessen)\b"),
    thanks=re.compile(r"\b(?:danke|das war alles|auf wiedersehen|tschüss)\b"),
    human=re.compile(r"\b(?:mensch|menschen|mitarbeiter|mitarbeiterin|vorgesetzten)\b"),
)

FRENCH: Final = Language(
    stemmer="french",
    stop=words(
        "à afin ai alors au aussi aux avec ce cela ces cet cette comme d dans "
        "de des du "
        "elle en est et être eu il ils j je l la le les leur lui ma mais me "
        "mes moi mon "
        "n ne nos notre nous on ou où par pas pour qu que quel quelle qui s sa sans se "
        "ses si son sont sur ta te tes toi ton tu un une vos votre vous y "
        "bonjour merci "
        "oui non"
    ),
    negations=words("ne n pas jamais aucun aucune sans ni non rien"),
    yes=words("oui exact confirme accord bien"),
    no=words("non stop attendez faux"),
    reasons=words("parce car raison cause malade"),
    aliases=aliases(
        changer="modifier modification changement",
        annuler="annulation",
        réservation="réservations billet",
        numéro="identifiant code référence",
    ),
    asks=re.compile(
        r"(?:veuillez|merci de|pouvez-vous|pourriez-vous|j'ai besoin de|"
        r"(?:donnez|indiquez|dites)-moi)"
    ),
    denies=re.compile(
        r"\b(?:(?:ne|n')\s?(?:peux|peut|pouvons|puis|est|sont)\b.{0,40}?\bpas|"
        r"impossible|pas (?:possible|autorisé)|malheureusement|refuser)\b"
    ),
    done=re.compile(
        r"\b(?:a été \w+|ont été \w+|(?:est|sont) (?:maintenant )?(?:annulée?s?|"
        r"réservée?s?|modifiée?s?|confirmée?s?|remboursée?s?|terminée?s?)|"
        r"j'ai (?:bien )?(?:annulé|réservé|modifié|remboursé))\b"
    ),
    transfers=re.compile(r"\b(?:vous transf[eé]\w+|vous mets en relation)\b"),
    confirms=re.compile(
        r"(?:confirmez-vous|oui ?/ ?non|voulez-vous que|dois-je|est-ce correct)"
    ),
    more=re.compile(r"\b(?:autre chose|d'autres questions)\b"),
    farewell=re.compile(r"\b(?:au revoir|bonne journée)\b"),
    missing=re.compile(r"(?:n'ai pas|ne sais pas|aucune idée|oublié)"),
    thanks=re.compile(r"\b(?:merci|c'est tout|au revoir)\b"),
    human=re.compile(r"\b(?:humain|conseiller|conseillère|responsable)\b"),
)

SPANISH: Final = Language(
    stemmer="spanish",
    stop=words(
        "a al algo como con cual cuando de del desde donde el ella en entre era es esa "
        "ese eso esta está este esto estoy ha hay he la las le les lo los me "
        "mi mis muy "
        "nos o para pero por porque que qué se si sí sin sobre son soy su sus te tu un "
        "una y ya yo hola gracias no"
    ),
    negations=words("no nunca jamás ningún ninguna sin ni tampoco nada"),
    yes=words("sí si correcto confirmo vale claro acuerdo"),
    no=words("no espere falso pare"),
    reasons=words("porque razón motivo debido enfermo enferma"),
    aliases=aliases(
        cambiar="modificar cambio modificación actualizar",
        cancelar="cancelación anular",
        reserva="reservas reservación billete",
        número="código identificador referencia",
    ),
    asks=re.compile(
        r"\b(?:por favor (?:indique|proporcione|diga|envíe)|(?:podría|puede) (?:darme|"
        r"decirme|indicarme|proporcionar)|necesito|(?:dígame|indíqueme|deme))\b"
    ),
    denies=re.compile(
        r"\b(?:no (?:puedo|podemos|puede|es posible|está permitido|se puede)|"
        r"lamentablemente|imposible|rechazar)\b"
    ),
    done=re.compile(
        r"\b(?:ha sido \w+|han sido \w+|(?:está|están) (?:ahora )?(?:cancelad|reservad|"
        r"modificad|confirmad|complet)\w+|(?:he|hemos) (?:cancelado|reservado|"
        r"modificado|cambiado|reembolsado))\b"
    ),
    transfers=re.compile(r"\b(?:le transfiero|transferido|le paso con)\b"),
    confirms=re.compile(
        r"(?:¿?confirma|sí ?/ ?no|¿quiere que|¿desea que|¿es correcto)"
    ),
    more=re.compile(r"\b(?:algo más|otra consulta|alguna otra)\b"),
    farewell=re.compile(r"\b(?:adiós|hasta luego|buen día)\b"),
    missing=re.compile(r"\b(?:no (?:tengo|sé|recuerdo)|ni idea)\b"),
    thanks=re.compile(r"\b(?:gracias|eso es todo|adiós)\b"),
    human=re.compile(r"\b(?:humano|humana|persona|supervisor|representante)\b"),
)

LANGUAGES: Final = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}


def base(tag: str) -> str:
    """Return the language of a tag such as `de-AT`, `en` where it has no rules."""
    name = tag.replace("_", "-").split("-")[0].casefold()
    return name if name in LANGUAGES else "en"
