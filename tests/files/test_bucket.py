"""Files in an S3 bucket: listed by their ETag, fetched once, and as good as those on a disk."""

from collections.abc import Iterator
from typing import Any

import pytest

from storymesh.files.gather import FilesGone, Gathered
from storymesh.files.listing import FilesUnreachable
from tests.files.conftest import FILES, MAIL, FilesDesk
from tests.support.servers import s3

BUCKET = "letters"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3

    with s3(BUCKET) as found:
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        yield boto3.client("s3", endpoint_url=found["AWS_ENDPOINT_URL"], region_name=found["AWS_REGION"])


def test_a_bucket(desk: FilesDesk, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(name: str, subject: str) -> None:
        client.put_object(Bucket=BUCKET, Key=f"carrier/{name}", Body=MAIL.format(subject=subject, body="53").encode())

    def subjects() -> dict[str, str]:
        return {row["file"].removeprefix(f"s3://{BUCKET}/carrier/"): row["subject"] for row in desk.rows()}

    monkeypatch.setenv("MAIL_BUCKET", BUCKET)
    desk.files = FILES.replace("sources/mail/**", "s3://${MAIL_BUCKET}/carrier/**/*.eml")
    names = ["a.eml", "x/ä b.eml", "x/y/#c?.eml"]
    for name in names:
        put(name, f"of {name}")
    client.put_object(Bucket=BUCKET, Key="carrier/other.txt", Body=b"no")
    client.put_object(Bucket=BUCKET, Key="other/d.eml", Body=b"no")
    assert desk.gather() == Gathered(listed=3, opened=3, read=3)
    assert subjects() == {name: f"of {name}" for name in names}
    digest = desk.collection().source_digest()
    assert digest is not None
    assert desk.gather() == Gathered(listed=3, opened=0, read=0)
    put("a.eml", "changed")
    put("copy.eml", "changed")
    assert desk.collection().source_digest() != digest
    assert desk.gather() == Gathered(listed=4, opened=2, read=1)
    assert subjects()["a.eml"] == subjects()["copy.eml"] == "changed"
    client.delete_object(Bucket=BUCKET, Key="carrier/copy.eml")
    client.put_object(Bucket=BUCKET, Key="carrier/large.eml", Body=b"x" * 5000)
    desk.files = desk.files.replace("take:", "limits: {bytes: 4kB}\ntake:")
    desk.gather()
    assert set(subjects()) == set(names)
    assert [(file.uri, file.refused) for file in desk.collection().refused()] == [
        (f"s3://{BUCKET}/carrier/large.eml", "too large")
    ]
    for name in ["large.eml", *names]:
        client.delete_object(Bucket=BUCKET, Key=f"carrier/{name}")
    with pytest.raises(FilesGone):
        desk.gather()
    monkeypatch.setenv("MAIL_BUCKET", "no-such-bucket")
    with pytest.raises(FilesUnreachable, match="s3://no-such-bucket cannot be listed"):
        desk.gather()
    monkeypatch.delenv("MAIL_BUCKET")
    assert desk.collection().source_digest() is None
    assert desk.findings() == [], "check needs no bucket"
