"""Places that the storage tests run on: a folder, fsspec's memory, and a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.storage.place import Place

KINDS = ("path", "file", "memory", "s3")


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A bucket on a local S3 server (moto speaks the protocol over HTTP), reached by s3fs."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bench")
        yield "s3://bench"
    server.stop()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind, asked twice."""
    roots = {
        "path": lambda: str(tmp_path / "shared"),
        "file": lambda: f"file://{tmp_path}/shared",
        "memory": lambda: "memory://shared",
        "s3": lambda: request.getfixturevalue("s3_url"),
    }
    return Place(f"{roots[request.param]()}/{uuid.uuid4().hex[:8]}", (0.01,))
