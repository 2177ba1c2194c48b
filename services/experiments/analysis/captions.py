"""Charts of reports by their names: what each shows, and why one may be missing."""

from collections.abc import Mapping
from typing import Final


CAPTIONS: Final[Mapping[str, str]] = {
    "population": "How many agents live at each step",
    "births_and_deaths": "How many agents are born and die in a step",
    "resources": "What lies in the world, and what an agent has",
    "action_mix": "How agents divide their actions",
    "rewards": "What living agents have earned, in the mean",
    "genome_diversity": "Distinct genomes per agent, and the most frequent one's share",
    "map": "Where agents and resources are",
}
MISSING: Final[Mapping[str, str]] = {
    "population": "How many agents live at each step was not recorded.",
    "births_and_deaths": "Births and deaths of each step were not recorded.",
    "resources": "Resources of the world and of agents were not recorded.",
    "rewards": "Mean rewards were not recorded.",
    "genome_diversity": "Diversity of genomes was not recorded.",
    "action_mix": "No actions were captured, so there is no chart of their mix.",
    "map": "No states were captured at this step, so there is no map of it.",
}
