"""What is told next of runs that are followed, and in how many windows."""

from math import ceil

from hypothesis import given as drawn
from hypothesis import strategies as st

from services.experiments.watching import Cursor, Span, windows


def chunks(*sizes: int, run: int = 7, at: int = 1) -> list[Span]:
    """Return chunks of a run that follow each other."""
    found, first = [], 0
    for place, size in enumerate(sizes):
        found.append(
            Span(
                position=at + place,
                simulation_id=run,
                number=1,
                first=first,
                last=first + size - 1,
            )
        )
        first += size
    return found


def test_chunks_that_follow_each_other_are_told_as_one() -> None:
    ((span, size),) = windows(chunks(500, 500, 500), 10)
    assert (span.first, span.last, span.position, size) == (0, 1_499, 3, 150)


def test_runs_have_windows_by_their_share_of_the_steps() -> None:
    spans = [*chunks(900, run=1), *chunks(100, run=2, at=2), *chunks(1, run=3, at=3)]
    assert [
        (span.simulation_id, ceil(span.steps / size))
        for span, size in windows(spans, 100)
    ] == [(1, 82), (2, 9), (3, 1)]


@drawn(st.lists(st.integers(1, 600), min_size=1, max_size=9), st.integers(1, 300))
def test_windows_are_about_as_many_as_were_asked_for(
    sizes: list[int], most: int
) -> None:
    told = windows(chunks(*sizes), most)
    assert sum(span.steps for span, _ in told) == sum(sizes)
    assert sum(ceil(span.steps / size) for span, size in told) <= most


def test_a_cursor_names_a_chunk_and_how_far_into_it() -> None:
    assert [str(Cursor(12)), str(Cursor(12, 30))] == ["12", "12-30"]
