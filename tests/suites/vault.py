"""What every vault promises; an adapter's tests give the fixture `vault`."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.conversation import MessageAdded, ToolCalled
from events.errors import Refused
from events.ids import SubjectId
from events.message import ERASED, Event
from infra.vault import Vault
from tests.builders import new_id


ORG = "acme"


class ErasingVault(Vault, Protocol):
    async def erase(self, org_id: str, subject_id: UUID) -> Sequence[UUID]: ...


def spoken(text: str, subject_id: UUID | None) -> MessageAdded:
    return MessageAdded(
        conversation_id=new_id(),
        seq=1,
        role="user",
        text=text,
        subject_id=None if subject_id is None else SubjectId(subject_id),
    )


async def sealed(
    vault: Vault, event: Event, *, org_id: str = ORG
) -> tuple[UUID, UUID | None, Event]:
    event_id = new_id()
    ((event, key_id),) = await vault.seal(org_id, [(event_id, event)])
    return event_id, key_id, event


def text(event: Event) -> str:
    assert isinstance(event, MessageAdded)
    return event.text


class VaultContract:
    async def test_what_is_sealed_opens(self, vault: ErasingVault) -> None:
        event = spoken("I was born in Ghent", new_id())
        locked = await sealed(vault, event)
        assert await vault.open([locked]) == [event]

    @pytest.mark.parametrize(
        "words", ["", " ", "\U0001f98a", "naïve\u2028\x7f", "[erased]", "a" * 1_000_000]
    )
    async def test_any_text_opens_as_it_was(
        self, vault: ErasingVault, words: str
    ) -> None:
        event = spoken(words, new_id())
        assert await vault.open([await sealed(vault, event)]) == [event]

    async def test_sealed_text_says_nothing(self, vault: ErasingVault) -> None:
        _, key_id, event = await sealed(vault, spoken("Ghent", new_id()))
        assert key_id is not None
        assert text(event).startswith("sealed:1:")
        assert "Ghent" not in text(event)

    async def test_sealing_twice_gives_different_text(
        self, vault: ErasingVault
    ) -> None:
        event = spoken("Ghent", new_id())
        _, first_key, first = await sealed(vault, event)
        _, second_key, second = await sealed(vault, event)
        assert first_key == second_key
        assert text(first) != text(second)

    async def test_only_personal_fields_are_sealed(self, vault: ErasingVault) -> None:
        event = ToolCalled(
            conversation_id=new_id(),
            seq=4,
            call_id="c1",
            name="find_loan",
            arguments='{"card": 17}',
            subject_id=SubjectId(new_id()),
        )
        _, _, locked = await sealed(vault, event)
        assert isinstance(locked, ToolCalled)
        assert replace(locked, arguments=event.arguments) == event
        assert locked.arguments.startswith("sealed:1:")

    async def test_an_event_without_a_subject_passes_unchanged(
        self, vault: ErasingVault
    ) -> None:
        event = spoken("Welcome", None)
        locked = await sealed(vault, event)
        assert locked[1:] == (None, event)
        assert await vault.open([locked]) == [event]

    async def test_text_that_looks_sealed_is_sealed_like_any_other(
        self, vault: ErasingVault
    ) -> None:
        _, _, other = await sealed(vault, spoken("Ghent", new_id()))
        event = spoken(text(other), new_id())
        assert await vault.open([await sealed(vault, event)]) == [event]

    async def test_a_batch_keeps_its_order(self, vault: ErasingVault) -> None:
        people = [new_id(), None, new_id()]
        events = [spoken(f"{n}", people[n % 3]) for n in range(12)]
        ids = [new_id() for _ in events]
        locked = await vault.seal(ORG, list(zip(ids, events, strict=True)))
        opened = await vault.open(
            [
                (event_id, key_id, event)
                for event_id, (event, key_id) in zip(ids, locked, strict=True)
            ]
        )
        assert list(opened) == events
        assert len({key_id for _, key_id in locked}) == 3

    async def test_each_subject_of_each_organisation_has_a_key(
        self, vault: ErasingVault
    ) -> None:
        person = new_id()
        keys = {
            (await sealed(vault, spoken("a", subject), org_id=org_id))[1]
            for org_id in ("acme", "umbrella")
            for subject in (person, new_id())
        }
        assert len(keys) == 4

    async def test_sealed_text_cannot_move_to_another_event(
        self, vault: ErasingVault
    ) -> None:
        _, key_id, event = await sealed(vault, spoken("Ghent", new_id()))
        (opened,) = await vault.open([(new_id(), key_id, event)])
        assert text(opened) == ERASED

    async def test_changed_text_does_not_open(self, vault: ErasingVault) -> None:
        event_id, key_id, event = await sealed(vault, spoken("Ghent", new_id()))
        words = text(event)
        for changed in (words[:-6] + "AAAAAA", words[:20], words + "?", "sealed:1:"):
            forged = spoken(changed, None)
            (opened,) = await vault.open([(event_id, key_id, forged)])
            assert text(opened) == ERASED

    async def test_an_unknown_key_opens_nothing(self, vault: ErasingVault) -> None:
        event_id, _, event = await sealed(vault, spoken("Ghent", new_id()))
        (opened,) = await vault.open([(event_id, new_id(), event)])
        assert text(opened) == ERASED

    async def test_after_an_erasure_text_reads_as_erased(
        self, vault: ErasingVault
    ) -> None:
        person, neighbour = new_id(), new_id()
        locked = await sealed(vault, spoken("Ghent", person))
        kept = await sealed(vault, spoken("Bruges", neighbour))
        await vault.open([locked])
        assert await vault.erase(ORG, person) == [locked[1]]
        opened, other = await vault.open([locked, kept])
        assert text(opened) == ERASED
        assert text(other) == "Bruges"

    async def test_nothing_can_be_sealed_after_an_erasure(
        self, vault: ErasingVault
    ) -> None:
        person = new_id()
        await sealed(vault, spoken("Ghent", person))
        await vault.erase(ORG, person)
        with pytest.raises(Refused):
            await sealed(vault, spoken("again", person))

    async def test_erasing_before_there_is_a_key_prevents_one(
        self, vault: ErasingVault
    ) -> None:
        person = new_id()
        assert len(await vault.erase(ORG, person)) == 1
        with pytest.raises(Refused):
            await sealed(vault, spoken("Ghent", person))

    async def test_erasing_twice_changes_nothing(self, vault: ErasingVault) -> None:
        person = new_id()
        first = await vault.erase(ORG, person)
        assert await vault.erase(ORG, person) == first

    async def test_an_erasure_ends_at_its_organisation(
        self, vault: ErasingVault
    ) -> None:
        person = new_id()
        event = spoken("Ghent", person)
        locked = await sealed(vault, event, org_id="umbrella")
        await vault.erase(ORG, person)
        assert await vault.open([locked]) == [event]

    async def test_one_erased_subject_refuses_the_whole_batch(
        self, vault: ErasingVault
    ) -> None:
        person = new_id()
        await vault.erase(ORG, person)
        batch = [(new_id(), spoken("a", new_id())), (new_id(), spoken("b", person))]
        with pytest.raises(Refused):
            await vault.seal(ORG, batch)
