"""Files are read once: what is new or changed is read, what is moved is not, and what is gone leaves nothing."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storymesh.files import listing
from storymesh.files.content import FolderFiles
from storymesh.files.gather import FilesGone, Gathered
from storymesh.files.inventory import Inventory
from storymesh.files.listing import FileEntry, FilesUnreachable
from storymesh.files.shard import Shard
from tests.files.conftest import FilesDesk


def ten_mails(desk: FilesDesk) -> None:
    for number in range(10):
        desk.mail(f"march/m{number}.eml", f"subject {number}", at=number)


def test_nothing_changed_and_no_file_is_opened(desk: FilesDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    ten_mails(desk)
    assert desk.gather() == Gathered(listed=10, opened=10, read=10)
    digest = desk.collection().source_digest()
    monkeypatch.setattr(FolderFiles, "_read", lambda *_: pytest.fail("a file was opened"))
    assert desk.gather() == Gathered(listed=10, opened=0, read=0)
    assert digest is not None
    assert desk.collection().source_digest() == digest
    assert len(desk.rows()) == 10


def test_one_changed_file_is_one_reading(desk: FilesDesk) -> None:
    ten_mails(desk)
    desk.gather()
    before = desk.collection().source_digest()
    desk.mail("march/m3.eml", "other", at=50)
    assert desk.collection().source_digest() != before
    assert desk.gather() == Gathered(listed=10, opened=1, read=1)
    assert desk.subjects()["march/m3.eml"] == "other"


def test_a_moved_folder_and_a_copy_are_not_read_again(desk: FilesDesk) -> None:
    ten_mails(desk)
    desk.gather()
    (desk.folder / "march").rename(desk.folder / "spring")
    desk.write("copy.eml", (desk.folder / "spring/m1.eml").read_bytes())
    assert desk.gather() == Gathered(listed=11, opened=11, read=0)
    assert desk.subjects() == {f"spring/m{n}.eml": f"subject {n}" for n in range(10)} | {"copy.eml": "subject 1"}


def test_a_touched_file_is_opened_and_not_read(desk: FilesDesk) -> None:
    path = desk.mail("a.eml")
    desk.gather()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert desk.gather() == Gathered(listed=1, opened=1, read=0)
    assert desk.gather().opened == 0


def test_a_file_of_this_moment_is_looked_at_once_more(desk: FilesDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    written = desk.mail("a.eml").stat().st_mtime_ns
    monkeypatch.setattr(listing, "time", SimpleNamespace(time_ns=lambda: written + 1))
    assert desk.collection().source_digest() is None
    assert desk.gather().read == 1


def test_a_deleted_file_takes_its_row_and_every_word_of_it(desk: FilesDesk) -> None:
    ten_mails(desk)
    gone = desk.mail("gone.eml", "zanzibar", "The word is xylophone.")
    desk.gather()
    assert "gone.eml" in desk.subjects()
    sha = [file.sha256 for file in known(desk) if file.uri.endswith("gone.eml")]
    gone.unlink()
    assert desk.gather().opened == 0
    assert len(desk.subjects()) == 10
    with Inventory(desk.inventory, writable=False) as inventory:
        assert sha[0] is not None
        assert inventory.reading(sha[0]) is None
        rows = [row for batch in inventory.readings() for row in batch.to_pylist()]
    assert not [row for row in rows if "xylophone" in row["text"]]
    left = b"".join(path.read_bytes() for path in desk.inventory.parent.iterdir())
    assert b"gone.eml" not in left
    assert sha[0].encode() not in left


def known(desk: FilesDesk) -> list[object]:
    with Inventory(desk.inventory, writable=False) as inventory:
        return list(inventory.files())


def test_an_emptied_folder_is_refused_and_nothing_is_lost(desk: FilesDesk) -> None:
    ten_mails(desk)
    desk.gather()
    kept = desk.root / "kept"
    (desk.folder / "march").rename(kept)
    with pytest.raises(FilesGone, match=r"mails.files.yaml:\d+:\d+: 10 of 10 files are gone at once, more than 20 %"):
        desk.gather()
    assert len(desk.rows()) == 10
    shutil.copytree(kept, desk.folder / "march", dirs_exist_ok=True)
    for number in range(3):
        (desk.folder / f"march/m{number}.eml").unlink()
    with pytest.raises(FilesGone, match="3 of 10"):
        desk.gather()
    desk.files = desk.files.replace("take:", "limits: {gone: 0.3}\ntake:")
    desk.gather()
    assert len(desk.rows()) == 7


def test_one_of_few_files_may_go_but_not_the_only_one(desk: FilesDesk) -> None:
    first, second = desk.mail("a.eml", "a"), desk.mail("b.eml", "b")
    desk.gather()
    first.unlink()
    desk.gather()
    assert list(desk.subjects()) == ["b.eml"]
    second.unlink()
    with pytest.raises(FilesGone):
        desk.gather()


def test_a_missing_folder_says_so(desk: FilesDesk) -> None:
    desk.mail("a.eml")
    desk.gather()
    shutil.rmtree(desk.folder)
    with pytest.raises(FilesUnreachable, match="there is no folder sources/mail/"):
        desk.gather()


def test_a_changed_file_that_cannot_be_read_now_keeps_its_row(desk: FilesDesk) -> None:
    desk.mail("a.eml", "first")
    desk.gather()
    desk.write("a.eml", b"From: a@x\nTo: b@x\nX-Server: down\nSubject: second\n\nno", at=9)
    desk.gather()
    assert desk.subjects() == {"a.eml": "first"}
    assert desk.refused() == {}, "it has a row"
    assert desk.collection().source_digest() is None, "it is tried again"
    desk.mail("a.eml", "third", at=10)
    assert desk.gather().read == 1
    assert desk.subjects() == {"a.eml": "third"}
    assert desk.collection().source_digest() is not None


def test_a_lasting_refusal_is_not_tried_again_and_takes_the_row(desk: FilesDesk) -> None:
    desk.mail("a.eml", "first")
    desk.mail("b.eml", "b")
    desk.gather()
    desk.write("a.eml", b"%PDF-1.7 no mail", at=9)
    desk.write("copy.eml", b"%PDF-1.7 no mail", at=9)
    assert desk.gather() == Gathered(listed=3, opened=2, read=0)
    assert desk.refused() == {"a.eml": "wrong type", "copy.eml": "wrong type"}
    assert desk.subjects() == {"b.eml": "b"}
    assert desk.gather().opened == 0


def test_other_limits_try_again_what_they_refused(desk: FilesDesk) -> None:
    desk.mail("a.eml", body="word " * 100)
    desk.mail("b.eml")
    desk.files = desk.files.replace("take:", "limits: {bytes: 400}\ntake:")
    desk.gather()
    assert desk.refused() == {"a.eml": "too large"}
    desk.files = desk.files.replace("400", "4kB")
    assert desk.gather().read == 1
    assert desk.refused() == {}


def test_another_reader_reads_everything_again(desk: FilesDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    ten_mails(desk)
    desk.gather()
    from storymesh.files.reading import mail

    monkeypatch.setattr(mail, "REVISION", mail.REVISION + 1)
    assert desk.gather().read == 10
    assert desk.gather().read == 0


def test_links_pipes_and_folders_that_lead_out(desk: FilesDesk) -> None:
    desk.mail("a.eml", "a")
    secret = desk.root / "secret.eml"
    secret.write_text("From: s@x\nTo: b@x\nSubject: secret\n\nsecret")
    (desk.folder / "out.eml").symlink_to(secret)
    (desk.folder / "inside.eml").symlink_to(desk.folder / "a.eml")
    (desk.folder / "nowhere.eml").symlink_to(desk.folder / "none.eml")
    (desk.folder / "folder").symlink_to(desk.root)
    os.mkfifo(desk.folder / "pipe.eml")
    desk.gather()
    assert desk.subjects() == {"a.eml": "a", "inside.eml": "a"}
    assert desk.refused() == {
        "out.eml": "leads out of the domain",
        "folder": "leads out of the domain",
        "nowhere.eml": "a link that leads nowhere",
        "pipe.eml": "no regular file",
    }


def test_a_folder_that_leads_to_one_whose_name_begins_alike(tmp_path: Path) -> None:
    home, other = tmp_path / "mail", tmp_path / "mail-of-others"
    home.mkdir()
    other.mkdir()
    (other / "a.eml").write_text("a")
    (home / "more").symlink_to(other)
    with pytest.raises(FilesUnreachable, match="leads out of"):
        list(listing.list_folder(home, ["more/*.eml"]))


def test_names_of_every_kind(desk: FilesDesk) -> None:
    names = ["ä ö.eml", "a'b\"c.eml", "new\nline.eml", "%41.eml", "[x].eml", "日本.eml", "a#b?c.eml"]
    for name in names:
        desk.mail(name, f"of {name.split('.')[0]!r}")
    raw = os.fsencode(desk.folder) + b"/caf\xe9.eml"
    Path(os.fsdecode(raw)).write_bytes((desk.folder / "%41.eml").read_bytes().replace(b"of", b"raw"))
    desk.mail(".hidden/x.eml")
    desk.gather()
    assert set(desk.subjects()) == {*names, "caf%E9.eml"}
    assert desk.gather().opened <= 1  # the one that was written this moment


NUMBERS = itertools.count()
Change = st.tuples(
    st.sampled_from(["write", "delete", "move", "junk"]), st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(Change, max_size=6), min_size=1, max_size=3))
def test_many_runs_give_what_one_gives(
    desks: Callable[[str], FilesDesk], rounds: list[list[tuple[str, int, int, int]]]
) -> None:
    desk = desks(f"desk {next(NUMBERS)}")
    desk.files = desk.files.replace("take:", "limits: {gone: 1}\ntake:")
    clock = 0
    assert desk.folder.is_dir()
    for changes in rounds:
        for what, first, second, content in changes:
            clock += 1
            path = desk.folder / f"m{first}.eml"
            if what == "write":
                desk.mail(path.name, f"content {content}", at=clock)
            elif what == "junk":
                desk.write(path.name, b"%PDF-1.7 " + bytes([65 + content]), at=clock)
            elif what == "delete":
                path.unlink(missing_ok=True)
            elif path.exists():
                path.rename(desk.folder / f"m{second}.eml")
        desk.gather()
    grown, refused = desk.rows(), desk.refused()
    desk.forget_everything()
    desk.gather()
    assert desk.rows() == grown
    assert desk.refused() == refused


def test_readings_are_put_together_and_taken_apart(tmp_path: Path) -> None:
    import pyarrow as pa

    schema = pa.schema([("sha256", pa.string()), ("text", pa.string())])
    with Inventory(tmp_path / "i.sqlite") as inventory:
        for number in range(100):
            entry = FileEntry(f"u{number}", f"t{number}", 1, 0)
            row = pa.RecordBatch.from_pylist([{"sha256": f"s{number}", "text": f"words {number}"}], schema)
            inventory.store([(entry, f"s{number}", None)], row, {})
        inventory.take_listing(FileEntry(f"u{number}", f"t{number}", 1, 0) for number in range(0, 100, 2))
        inventory.finish()
        batches = list(inventory.readings())
        assert len(batches) < 5
        texts = sorted(row["text"] for batch in batches for row in batch.to_pylist())
        assert texts == sorted(f"words {number}" for number in range(0, 100, 2))
        assert inventory.reading("s4") == {"sha256": "s4", "text": "words 4"}
        assert inventory.reading("s5") is None


def test_shards_read_each_file_once_and_the_product_takes_over_what_they_have(desk: FilesDesk) -> None:
    desk.files = desk.files.replace("take:", "limits: {gone: 1}\ntake:")
    for number in range(40):
        desk.mail(f"m{number}.eml", f"subject {number}")
    assert desk.gather().read == 40
    desk.mail("m1.eml", "changed", at=5)
    desk.mail("new.eml", "is new")
    collection, shards = desk.collection(), [Shard(number, 3) for number in (1, 2, 3)]
    read = [collection.of_shard(shard).gather(desk.engine) for shard in shards]
    assert sum(found.listed for found in read) == 41
    assert all(0 < found.listed < 41 for found in read)
    assert sum(found.read for found in read) == 2, "what the product had is not read again by a shard"
    (desk.folder / "m2.eml").unlink()
    assert desk.gather().read == 0, "what a shard has read is not read again by the product"
    assert desk.subjects() == {
        **{f"m{number}.eml": f"subject {number}" for number in range(40) if number != 2},
        "m1.eml": "changed",
        "new.eml": "is new",
    }
    paths = [shard.path(desk.inventory) for shard in shards]
    for path in paths:
        with Inventory(path, writable=False) as inventory:
            assert inventory.file("sources/mail/m2.eml") is None
            assert "subject 2" not in {
                row["mail"]["subject"] for batch in inventory.readings() for row in batch.to_pylist()
            }
    assert desk.gather().opened == 0
