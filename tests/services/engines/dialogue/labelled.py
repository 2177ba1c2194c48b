"""Assertions about short conversations, each with the verdict a careful reader gives.

`verdict` is what holds; the rules may abstain from it, but must not contradict it.
"""

from typing import Literal

import msgspec

from services.engines.dialogue.turns import Called, Returned, Turn


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    assertion: str
    entries: tuple[tuple[str, str], ...]
    verdict: bool


def transcript(entries: tuple[tuple[str, str], ...]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for who, text in entries:
        seq = len(turns) + 1
        match who:
            case "user" | "agent":
                turns.append(Turn(seq, "user" if who == "user" else "assistant", text))
            case "result":
                returned = Returned(f"c{seq - 1}", "tool", text)
                turns.append(Turn(seq, "tool", returned=returned))
            case _:
                called = Called(f"c{seq}", who, text)
                turns.append(Turn(seq, "assistant", called=called))
    return tuple(turns)


def case(
    kind: str, holds: Literal["yes", "no"], assertion: str, *entries: tuple[str, str]
) -> Labelled:
    return Labelled(
        kind=kind, assertion=assertion, entries=entries, verdict=holds == "yes"
    )


ASK_FEE = ("user", "What does the second parcel cost?")
ASK_CANCEL = ("user", "Please cancel my order K77Q.")
CANCEL = ("cancel_order", '{"order_id": "K77Q"}')
OK = ("result", '{"status": "cancelled"}')
READ = ("get_order", '{"order_id": "K77Q"}')
NO = ("agent", "I am sorry, I cannot cancel the order, it was shipped already.")
YES = ("agent", "I have cancelled your order K77Q.")
FEE = "Agent tells the user that the fee is $12.50."

CASES = (
    case("plain", "yes", FEE, ASK_FEE, ("agent", "The fee is $12.50 for it.")),
    case("plain", "yes", FEE, ASK_FEE, ("agent", "That will be 12.5 dollars in all.")),
    case("plain", "no", FEE, ASK_FEE, ("agent", "The fee is $15 for it.")),
    case("plain", "no", FEE, ASK_FEE, ("agent", "I do not know that.")),
    case("plain", "yes", "Agent cancels order K77Q.", ASK_CANCEL, CANCEL, OK, YES),
    case("plain", "no", "Agent cancels order K77Q.", ASK_CANCEL, READ, OK, NO),
    case("plain", "yes", "Agent does not cancel order K77Q.", ASK_CANCEL, READ, OK, NO),
    case("plain", "no", "Agent does not cancel order K77Q.", ASK_CANCEL, CANCEL, OK),
    case("plain", "yes", "Agent should refuse to cancel the order.", ASK_CANCEL, NO),
    case("plain", "no", "Agent should refuse to cancel the order.", ASK_CANCEL, YES),
    case("plain", "yes", "Order K77Q is cancelled by Agent.", ASK_CANCEL, CANCEL, OK),
    case("plain", "no", "Order X900 is cancelled by Agent.", ASK_CANCEL, CANCEL, OK),
    case(
        "plain",
        "yes",
        "Agent asks for the order number.",
        ("user", "Please cancel my order."),
        ("agent", "Could you give me the order number?"),
    ),
    case("plain", "no", "Agent asks for the order number.", ASK_CANCEL, YES),
    case(
        "plain",
        "yes",
        "Agent should transfer the user to a human.",
        ASK_CANCEL,
        ("transfer_to_human", "{}"),
        OK,
    ),
    case(
        "plain",
        "no",
        "Agent should transfer the user to a human.",
        ASK_CANCEL,
        CANCEL,
        OK,
    ),
    case(
        "plain",
        "no",
        "Agent does not offer a voucher.",
        ASK_CANCEL,
        ("agent", "I can offer you a voucher for the trouble."),
    ),
    case("plain", "yes", "Agent does not offer a voucher.", ASK_CANCEL, NO),
    case(
        "plain",
        "no",
        "Agent does not offer a voucher unless the user asks for one.",
        ASK_CANCEL,
        ("agent", "I can offer you a voucher."),
        ("user", "A voucher would be nice."),
    ),
    case(
        "plain",
        "yes",
        "Agent does not offer a voucher unless the user asks for one.",
        ASK_CANCEL,
        NO,
        ("user", "I want a voucher then."),
        ("agent", "I can offer you a voucher."),
    ),
    case(
        "failed call",
        "no",
        "Agent cancels order K77Q.",
        ASK_CANCEL,
        CANCEL,
        ("result", "Error: the order was shipped."),
    ),
    case("claim only", "no", "Agent cancels order K77Q.", ASK_CANCEL, YES),
    case(
        "claim only",
        "no",
        "Agent does not cancel order K77Q.",
        ASK_CANCEL,
        CANCEL,
        OK,
        NO,
    ),
    case(
        "stuffing",
        "no",
        FEE,
        ASK_FEE,
        ("agent", "fee parcel price cost delivery 12.50 15 20 charge tariff"),
    ),
    case(
        "stuffing",
        "no",
        "Agent informs the user that insurance covers water damage.",
        ASK_FEE,
        ("agent", "insurance covers water damage fire theft parcel fee refund"),
    ),
    case(
        "negation", "no", FEE, ASK_FEE, ("agent", "The fee is not $12.50, it is $15.")
    ),
    case(
        "negation",
        "no",
        "Agent informs the user that insurance covers water damage.",
        ASK_FEE,
        ("agent", "Our insurance covers no water damage."),
    ),
    case(
        "negation",
        "yes",
        "Agent informs the user that insurance covers water damage.",
        ASK_FEE,
        ("agent", "Yes, our insurance covers any water damage."),
    ),
    case(
        "negation",
        "yes",
        "Agent does not offer a voucher.",
        ASK_CANCEL,
        ("agent", "I cannot offer a voucher for that."),
    ),
    case(
        "negation",
        "no",
        "Agent should not refuse to cancel the order.",
        ASK_CANCEL,
        NO,
    ),
    case(
        "quoting",
        "no",
        FEE,
        ("user", 'A colleague said "the fee is $12.50".'),
        ("agent", 'You say "the fee is $12.50", but I have to look that up.'),
    ),
    case(
        "quoting",
        "no",
        "Agent does not offer a voucher.",
        ASK_CANCEL,
        ("agent", 'The rule "no voucher" does not hold: I can offer you a voucher.'),
    ),
    case(
        "copying",
        "no",
        FEE,
        ("user", "I was told that the fee for the parcel is $12.50 in total."),
        ("agent", "I was told that the fee for the parcel is $12.50 in total."),
    ),
    case("off-topic", "no", FEE, ASK_FEE, ("agent", "The weather is lovely today.")),
    case(
        "off-topic",
        "no",
        "Agent should refuse to cancel the order.",
        ASK_CANCEL,
        ("agent", "Our shop opens at nine and closes at six."),
    ),
    case(
        "user only",
        "no",
        FEE,
        ("user", "So the fee is $12.50, right?"),
        ("agent", "Let me look that up."),
    ),
    case(
        "other language",
        "yes",
        FEE,
        ASK_FEE,
        (
            "agent",
            "Die Gebühr für das zweite Paket ist 12,50 nicht, sie beträgt $12.50.",
        ),
    ),
    case(
        "other language",
        "yes",
        "Agent should refuse to cancel the order.",
        ASK_CANCEL,
        ("agent", "Das ist leider nicht möglich, die Bestellung ist schon unterwegs."),
    ),
    case(
        "other language",
        "no",
        "Agent does not offer a voucher.",
        ASK_CANCEL,
        ("agent", "Ich kann Ihnen für den Ärger gerne einen Gutschein geben."),
    ),
    case(
        "paraphrase",
        "yes",
        "Agent informs the user that insurance covers water damage.",
        ASK_FEE,
        ("agent", "If it gets soaked, we pay for it."),
    ),
    case(
        "paraphrase",
        "no",
        "Agent does not offer a voucher.",
        ASK_CANCEL,
        ("agent", "I can give you ten dollars for your next order."),
    ),
    case(
        "beyond",
        "no",
        "Agent does not cancel any other order.",
        ASK_CANCEL,
        CANCEL,
        OK,
        ("cancel_order", '{"order_id": "Z12B"}'),
        OK,
    ),
    case("beyond", "yes", "Agent is polite and stays calm.", ASK_CANCEL, NO),
    case("beyond", "yes", "Agent realizes that the order was shipped.", ASK_CANCEL, NO),
)
