"""A client for notebooks: list datasets, freeze one, wait for it, read its rows. PURE.

    with Client("https://rank.example.org", token="…") as client:
        tides = client.project("tides")
        dataset = tides.freeze(since="2026-06-01", without_labeler=["L-0a1b2c3d"])
        pairs = list(dataset.rows("pairs"))
        run = tides.train("org/sft-model", dataset=dataset, epochs=1).wait()

It needs httpx and nothing of the site: a notebook elsewhere needs no more than this
folder, as `ranking/client`. Columns as an Arrow table need pyarrow.
"""

from ranking.client.errors import (
    ClientError,
    FreezeFailedError,
    NoLongerThereError,
    NotAllowedError,
    NotSignedInError,
    NotThereError,
    NotWrittenError,
    RefusedError,
    RunFailedError,
    UnavailableError,
)
from ranking.client.projects import Client, Dataset, Project
from ranking.client.runs import Model, Run

__all__ = [
    "Client",
    "ClientError",
    "Dataset",
    "FreezeFailedError",
    "Model",
    "NoLongerThereError",
    "NotAllowedError",
    "NotSignedInError",
    "NotThereError",
    "NotWrittenError",
    "Project",
    "RefusedError",
    "Run",
    "RunFailedError",
    "UnavailableError",
]
