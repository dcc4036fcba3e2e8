"""Downloads of datasets: from the disk and from a bucket, whole and resumed."""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.test import Client

from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.export.choice import KINDS
from ranking.losses import export_folder, place_of, remove_exports
from ranking.models import Dataset, DatasetLoss
from tests.conftest import make_prompt
from tests.ranking.bucket import bucket, s3_server
from tests.ranking.exported import a_worker_at_hand, body, fetched
from tests.ranking.rows import store_ranking

__all__ = ["a_worker_at_hand", "bucket", "s3_server"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("a_worker_at_hand"),
]
SignIn = Callable[[Membership], Client]


@pytest.fixture(autouse=True)
def var_dir(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


@pytest.fixture
def dataset(project: Project, alice: Membership, bob: Membership) -> Dataset:
    prompt = make_prompt(project)
    store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 2, "r4": 3})
    store_ranking(prompt, bob, {"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    return freeze(project)


@pytest.fixture
def visitor(researcher: Membership, signed_in: SignIn) -> Client:
    return signed_in(researcher)


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest) -> str:
    """Each test with it runs once with either store."""
    if request.param == "bucket":
        request.getfixturevalue("bucket")
    return str(request.param)


def address(dataset: Dataset, file: str = "pairs.jsonl") -> str:
    return f"/p/tides/datasets/{dataset.name}/{file}"


@pytest.mark.usefixtures("store")
def test_a_file_comes_whole_with_its_hash_as_its_tag(
    dataset: Dataset, visitor: Client
) -> None:
    response = fetched(visitor, address(dataset))
    raw = body(response)
    assert response.status_code == 200
    assert response["ETag"] == f'"{hashlib.sha256(raw).hexdigest()}"'
    assert response["Content-Length"] == str(len(raw))
    assert response["Accept-Ranges"] == "bytes"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert len([json.loads(line) for line in raw.splitlines()]) == 11


@pytest.mark.usefixtures("store")
def test_a_download_that_broke_off_goes_on(dataset: Dataset, visitor: Client) -> None:
    response = fetched(visitor, address(dataset))
    whole = body(response)
    half = len(whole) // 2
    wanted = {"Range": f"bytes={half}-", "If-Range": response["ETag"]}
    rest = visitor.get(address(dataset), headers=wanted)
    assert rest.status_code == 206
    assert rest["Content-Range"] == f"bytes {half}-{len(whole) - 1}/{len(whole)}"
    assert rest["Content-Length"] == str(len(whole) - half)
    assert whole[:half] + body(rest) == whole


@pytest.mark.usefixtures("store")
def test_parts_of_another_file_are_not_mixed(dataset: Dataset, visitor: Client) -> None:
    wanted = {"Range": "bytes=5-", "If-Range": '"another"'}
    body(fetched(visitor, address(dataset)))
    response = visitor.get(address(dataset), headers=wanted)
    assert response.status_code == 200
    assert len(body(response)) == int(response["Content-Length"])


@pytest.mark.usefixtures("store")
def test_bytes_beyond_the_end_are_refused(dataset: Dataset, visitor: Client) -> None:
    size = len(body(fetched(visitor, address(dataset))))
    response = visitor.get(address(dataset), headers={"Range": f"bytes={size}-"})
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{size}"
    assert response.content == b""


@pytest.mark.usefixtures("store")
def test_what_the_reader_has_is_not_sent_again(
    dataset: Dataset, visitor: Client
) -> None:
    first = fetched(visitor, address(dataset))
    body(first)  # which closes the file
    tag = first["ETag"]
    again = visitor.get(address(dataset), headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.usefixtures("store")
def test_every_kind_and_format_is_there(dataset: Dataset, visitor: Client) -> None:
    for kind, known in KINDS.items():
        for format in known.formats:
            response = fetched(visitor, address(dataset, f"{kind}.{format}"))
            raw = body(response)
            assert response.status_code == 200
            named = f'attachment; filename="{dataset.name}-{kind}.{format}"'
            assert response["Content-Disposition"] == named
            if format == "parquet":
                assert pq.read_table(BytesIO(raw)).num_rows > 0


def test_choices_are_files_of_their_own(dataset: Dataset, visitor: Client) -> None:
    soft = fetched(visitor, address(dataset) + "?disagreement=soft")
    rows = [json.loads(line) for line in body(soft).splitlines()]
    shares = {(row["chosen_id"], row["rejected_id"]): row["share"] for row in rows}
    assert shares["r2", "r3"] == 0.75
    assert f"{dataset.name}-pairs-soft.jsonl" in soft["Content-Disposition"]
    assert len(body(fetched(visitor, address(dataset))).splitlines()) == 11


@pytest.mark.parametrize(
    "wrong",
    [
        "votes.jsonl",
        "pairs.csv",
        "pairs.jsonl?disagreement=none",
        "kto.jsonl?disagreement=soft",
        "pairs.jsonl?split=test",
        "pairs.jsonl?split=../../x",
        "..%2fpairs.jsonl",
    ],
)
def test_what_cannot_be_written_is_not_there(
    dataset: Dataset, visitor: Client, wrong: str
) -> None:
    assert visitor.get(address(dataset, wrong)).status_code == 404
    assert not export_folder(dataset).exists()


def test_a_labeler_cannot_tell_that_there_is_a_file(
    dataset: Dataset,
    alice: Membership,
    stranger: Membership,
    signed_in: SignIn,
) -> None:
    for somebody in (alice, stranger):
        assert signed_in(somebody).get(address(dataset)).status_code == 404
    assert not export_folder(dataset).exists()


# --- The bucket -------------------------------------------------------------------


def keys(bucket: Any) -> list[str]:
    return sorted(one.key for one in bucket.objects.all())


def test_a_bucket_gets_the_folder_and_this_machine_keeps_nothing(
    dataset: Dataset, visitor: Client, bucket: Any
) -> None:
    body(fetched(visitor, address(dataset)))
    place = f"{place_of(dataset)}/pairs.each.all.jsonl"
    names = ["README.md", "manifest.json", "pairs.jsonl"]
    assert keys(bucket) == [f"{place}/{name}" for name in names]
    assert list(export_folder(dataset).rglob("*.*")) == []


def test_without_its_manifest_a_folder_is_not_there_yet(
    dataset: Dataset, visitor: Client, bucket: Any
) -> None:
    """As if the machine had died while it sent the files."""
    whole = body(fetched(visitor, address(dataset)))
    place = f"{place_of(dataset)}/pairs.each.all.jsonl"
    bucket.Object(f"{place}/manifest.json").delete()
    bucket.Object(f"{place}/pairs.jsonl").put(Body=whole[:100])
    assert body(fetched(visitor, address(dataset))) == whole


def test_files_of_a_dataset_that_lost_something_go_from_the_bucket(
    dataset: Dataset, visitor: Client, bucket: Any
) -> None:
    body(fetched(visitor, address(dataset)))
    bucket.Object("1/another/pairs.jsonl").put(Body=b"stays")
    prompt = dataset.rankings.all()[0].assignment.prompt
    DatasetLoss.objects.create(dataset=dataset, prompt=prompt, reason="Taken down.")
    response = fetched(visitor, address(dataset))
    assert response.status_code == 410
    assert "Taken down." in response.content.decode()
    assert keys(bucket) == ["1/another/pairs.jsonl"]
    remove_exports([dataset])  # nothing there is fine


def test_a_store_that_does_not_answer_is_a_page_that_says_so(
    dataset: Dataset, visitor: Client, settings: Any, bucket: Any
) -> None:
    settings.EXPORTS_S3 = {**settings.EXPORTS_S3, "bucket_name": "another"}
    response = fetched(visitor, address(dataset))
    assert response.status_code == 503
    assert "could not hand this file out" in response.content.decode()
