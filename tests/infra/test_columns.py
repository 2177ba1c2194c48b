"""Arguments that are written as text mean what the arrays would."""

from uuid import UUID

import pytest

from infra.postgres import columns


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([], "{}"),
        ([""], '{""}'),
        (["a", "NULL"], '{"a","NULL"}'),
        (['a"b', "c\\d"], '{"a\\"b","c\\\\d"}'),
        (["a,b", "{}"], '{"a,b","{}"}'),
    ],
)
def test_texts_are_quoted(values: list[str], written: str) -> None:
    assert columns.texts(values) == written


def test_nulls_alone_are_no_array() -> None:
    assert columns.some([None, None]) is None
    assert columns.some([]) is None
    assert columns.some([None, UUID(int=10)]) == [None, UUID(int=10)]
