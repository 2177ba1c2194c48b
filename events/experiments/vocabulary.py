"""The numbers and names that recorded rows of populations are made of.

Amounts, lengths, health and rewards are whole numbers of 1/`SCALE`, genes of 1/`FINE`.
Actions, modules, their choices, outcomes and causes are places in these tuples: what is
recorded outlives the code, so that names are only ever added at the end.
"""

from typing import Final


SCALE: Final = 10_000
FINE: Final = 1_000_000

ACTIONS: Final = ("move", "gather", "share", "attack", "reproduce", "defend")
MOVE, GATHER, SHARE, ATTACK, REPRODUCE, DEFEND = range(6)
MODULES: Final = ("move", "gather", "share", "attack", "reproduce", "select")
SELECT: Final = 5
SHARED: Final = 6  # from here on, the modules again, as networks that agents share
CHOICES: Final = (
    ("right", "left", "up", "down"),
    ("gather", "wait", "skip"),
    ("keep", "share_1", "share_2", "share_3"),
    ("attack_right", "attack_left", "attack_up", "attack_down", "defend"),
    ("wait", "reproduce"),
    ("move", "gather", "share", "attack", "reproduce"),
)

OUTCOMES: Final = (
    "done",
    "waited",
    "no_target",
    "target_gone",
    "exhausted",
    "too_little",
    "unhealthy",
    "crowded",
    "population_full",
    "missed",
)
(
    DONE,
    WAITED,
    NO_TARGET,
    TARGET_GONE,
    EXHAUSTED,
    TOO_LITTLE,
    UNHEALTHY,
    CROWDED,
    FULL,
    MISSED,
) = range(10)

CAUSES: Final = ("", "starvation", "combat", "age", "healing")
STARVATION, COMBAT, AGE, HEALING = range(1, 5)

GENES: Final = (*ACTIONS[:5], "learning_rate", "discount", "epsilon_decay")
KINDS: Final = ("system", "independent", "control")
