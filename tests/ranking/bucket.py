"""A bucket of a store that speaks S3, on this machine."""

from collections.abc import Iterator
from typing import Any, Final

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET: Final = "rankwell-exports"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A server that speaks S3, on a free port of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, settings: Any) -> Iterator[Any]:
    """The bucket that the settings name, empty."""
    settings.EXPORTS_S3 = {
        "bucket_name": BUCKET,
        "endpoint_url": s3_server,
        "region_name": "eu-central-1",
        "access_key": "key",
        "secret_key": "secret",
    }
    found = boto3.resource(
        "s3",
        endpoint_url=s3_server,
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ).Bucket(BUCKET)
    found.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield found
    found.objects.delete()
    found.delete()
