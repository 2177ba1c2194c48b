"""What was once published can be read for ever.

Every event type has samples, `<tag>.<n>.json`: stored JSON as some version of the code
wrote it. Samples are only ever added, never changed: `SHA256SUMS` holds them to that.
The newest of a type is just what is written now; the older ones still decode.
"""

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from events.catalogue import EVENTS, decode, encode


SAMPLES = Path(__file__).parent / "samples"
EVERY_SAMPLE = sorted(SAMPLES.glob("*.json"))


def tag_of(sample: Path) -> str:
    return sample.name.rsplit(".", 2)[0]


def number_of(sample: Path) -> int:
    return int(sample.name.rsplit(".", 2)[1])


def newest(tag: str) -> Path:
    return max((s for s in EVERY_SAMPLE if tag_of(s) == tag), key=number_of)


@pytest.mark.parametrize("sample", EVERY_SAMPLE, ids=lambda path: path.stem)
def test_a_sample_decodes(sample: Path) -> None:
    event = decode(tag_of(sample), sample.read_bytes())
    assert type(event) is EVENTS[tag_of(sample)]


@pytest.mark.parametrize("tag", sorted(EVENTS))
def test_the_newest_sample_is_what_is_written_now(tag: str) -> None:
    stored = newest(tag).read_bytes()
    assert encode(decode(tag, stored)) + b"\n" == stored


@pytest.mark.parametrize("tag", sorted(EVENTS))
def test_the_newest_sample_fills_every_field(tag: str) -> None:
    sample = json.loads(newest(tag).read_bytes())
    fields = {field.encode_name for field in msgspec.structs.fields(EVENTS[tag])}
    assert sample.keys() == {"type", *fields}
    assert None not in sample.values()


def test_samples_are_added_and_never_changed() -> None:
    kept = (SAMPLES / "SHA256SUMS").read_text().splitlines()
    found = [f"{sha256(s.read_bytes()).hexdigest()}  {s.name}" for s in EVERY_SAMPLE]
    assert found == kept
