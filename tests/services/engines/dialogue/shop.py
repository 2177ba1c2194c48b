"""A fictional shop: its policy, its tools, a customer, and their conversation."""

from uuid import UUID

from services.engines.dialogue.agent import reply
from services.engines.dialogue.brief import UserBrief
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.policy import Parameter, Policy, Tool
from services.engines.dialogue.turns import (
    Called,
    Opens,
    Reason,
    Returned,
    Turn,
    awaited,
)
from services.engines.dialogue.user import SimulatorFault, next_user_turn


TEXT = """# Shop policy

Before any change of an order, list the details and obtain explicit confirmation (yes).

To transfer, call transfer_to_human and then say 'A COLLEAGUE WILL TAKE OVER. HOLD ON.'

## Delivery
Parcels are delivered within 3 working days.
Gift cards cannot be returned.

## Cancel order
- The agent must obtain the customer id and order id.
- The agent must also obtain the reason for cancellation.

An order can be cancelled if any of the following is true:
- The order was placed today
- The customer has a premium membership
- The order has not been shipped.
"""

POLICY = Policy(text=TEXT)
SHOP = Policy(
    text=TEXT,
    tools=(
        Tool("get_order", "Look an order up", (Parameter("order_id"),)),
        Tool("cancel_order", "Cancel", (Parameter("order_id"),)),
        Tool("transfer_to_human", "Hand over", (Parameter("summary"),)),
    ),
)
SEED = Draw(7, UUID(int=1), 0)
ANSWERS = {
    "get_order": '{"order_id": "K77Q", "customer_has_premium_membership": "yes"}',
    "cancel_order": '{"status": "cancelled"}',
    "transfer_to_human": '"ok"',
}
CUSTOMER = UserBrief(
    objective="You want to cancel order K77Q because you changed your mind.",
    known_facts=("You are Dana Field.", "Your customer id is dana_12."),
    instructions="If the agent says that it cannot be cancelled, say that you are sad.",
    background="A calm person.",
)


def said(*texts: str) -> tuple[Turn, ...]:
    return tuple(
        Turn(seq, "user" if seq % 2 else "assistant", text)
        for seq, text in enumerate(texts, 1)
    )


def heard(*texts: str) -> tuple[Turn, ...]:
    return said(*(part for text in texts for part in ("I want something.", text)))


def play(
    brief: UserBrief = CUSTOMER,
    policy: Policy = SHOP,
    *,
    seed: Draw = SEED,
    opens: Opens = "user_message",
    limit: int = 12,
) -> tuple[tuple[Turn, ...], Reason]:
    turns: tuple[Turn, ...] = ()
    while True:
        seq = len(turns) + 1
        match awaited(turns, opens, limit):
            case "user":
                move = next_user_turn(brief, turns, seed)
                if isinstance(move, SimulatorFault):
                    return turns, move.reason
                turns = (*turns, Turn(seq, "user", move.text))
                if move.stop is not None:
                    return turns, move.stop
            case "agent":
                answer = reply(policy, turns, seed)
                if answer.text is not None:
                    turns = (*turns, Turn(seq, "assistant", answer.text))
                for call in answer.tool_calls:
                    called = Called(f"c{seq}", call.name, call.arguments)
                    turns = (*turns, Turn(seq, "assistant", called=called))
                if answer.end:
                    return turns, "transferred" if answer.transfer else "agent_ended"
            case "tool":
                asked = turns[-1].called
                assert asked is not None
                returned = Returned(asked.call_id, asked.name, ANSWERS[asked.name])
                turns = (*turns, Turn(seq, "tool", returned=returned))
            case reason:
                return turns, reason
