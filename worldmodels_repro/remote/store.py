"""One S3 prefix as a store of whole files, each checked on the way there and on the way back.

boto3 does the work and the retries; any S3-compatible endpoint is named by the usual variables
(``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` ...). An object is a file's path below the prefix,
so that any S3 tool shows the run folder; its metadata holds the SHA-256 of its content.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from worldmodels_repro.errors import UserError, first_line

PART = 8 << 20  # bytes: larger files go in parts of this size
_TRANSFER = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
_CLIENT = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5,
                 read_timeout=20)
_ATTEMPTS = 5  # times an answer that breaks off, or arrives damaged, is asked for
_REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
             "InvalidToken", "TokenRefreshRequired", "403", "Forbidden", "AllAccessDisabled",
             "AccountProblem", "InvalidSecurity"}
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError,
                   ProfileNotFound)

Result = TypeVar("Result")


class NoAnswerError(Exception):
    """S3 did not answer as it should; trying again later may help."""


class RefusedError(UserError):
    """S3 answers, and says no: credentials, permissions, a bucket that is not there."""


class Store:
    """Files below ``s3://bucket/prefix``.

    Args:
        url: the address.
        writer: who uploads; kept in each object's metadata.

    Raises:
        UserError: the address is not one.
        RefusedError: S3 says no (from any method).
        NoAnswerError: S3 can't be reached, or answers with errors, after boto3's own retries.
    """

    def __init__(self, url: str, writer: str):
        parts = urlparse(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise UserError(f"--remote {url}: write it as s3://bucket/prefix")
        self.url, self._writer = url.rstrip("/"), writer
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        self._s3 = self._ask(lambda: boto3.session.Session().client("s3", config=_CLIENT))

    def list(self) -> dict[str, str]:
        """Every object's entity tag, by its path below the prefix."""

        def ask() -> dict[str, str]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix)
            return {item["Key"].removeprefix(self._prefix): item["ETag"].strip('"')
                    for page in pages for item in page.get("Contents", [])}

        return self._read(ask)

    def is_mine(self, path: str) -> bool:
        """Whether this writer uploaded the object."""

        def ask() -> bool:
            head = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + path)
            return bool(head["Metadata"].get("writer") == self._writer)

        return self._read(ask)

    def push(self, file: Path, path: str) -> str:
        """Upload a file whole, or not at all; returns its entity tag."""
        size, sha, md5s = _digests(file)
        expected = md5s[0].hex() if size < PART else \
            f"{hashlib.md5(b''.join(md5s), usedforsecurity=False).hexdigest()}-{len(md5s)}"

        def ask() -> str:
            self._s3.upload_file(str(file), self._bucket, self._prefix + path, Config=_TRANSFER,
                                 ExtraArgs={"ChecksumAlgorithm": "SHA256",
                                            "Metadata": {"sha256": sha, "writer": self._writer}})
            head = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + path)
            etag = str(head["ETag"]).strip('"')
            # S3 refuses a body that does not fit its checksum; not every server does. Objects
            # under a KMS key have tags that say nothing of their content.
            if head["ContentLength"] != size or ("SSEKMSKeyId" not in head and etag != expected):
                raise NoAnswerError(f"{path} arrived damaged")
            return etag

        return self._ask(ask)

    def pull(self, path: str, file: Path) -> str:
        """Download an object to ``file``, whole or not at all; returns its entity tag.

        Raises:
            UserError: it does not arrive as it was sent, however often it is asked for.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            for _ in range(_ATTEMPTS):
                etag, sha = self._read(lambda: self._fetch(path, temporary))
                if sha is None or sha == _digests(temporary)[1]:
                    temporary.replace(file)
                    return etag
        finally:
            temporary.unlink(missing_ok=True)
        raise UserError(f"{self.url}/{path} is damaged: its content does not fit its checksum; "
                        "remove it there, or restore an older version of it")

    def _fetch(self, path: str, file: Path) -> tuple[str, str | None]:
        answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)
        with file.open("wb") as out:
            for part in answer["Body"].iter_chunks(1 << 20):
                out.write(part)
        return str(answer["ETag"]).strip('"'), answer["Metadata"].get("sha256")

    def read(self, path: str) -> tuple[bytes, str, float] | None:
        """A small object: content, entity tag, age in seconds by the server's own clock."""

        def ask() -> tuple[bytes, str, float] | None:
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)
            except self._s3.exceptions.NoSuchKey:
                return None
            now = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
            age = parsedate_to_datetime(now).timestamp() - answer["LastModified"].timestamp()
            return answer["Body"].read(), str(answer["ETag"]), age

        return self._read(ask)

    def write(self, path: str, content: bytes, replaces: str | None) -> str | None:
        """Write a small object if it is still the one with tag ``replaces`` (None: absent).

        Returns:
            Its entity tag; None where someone else was first.
        """
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}

        def ask() -> str | None:
            try:
                answer = self._s3.put_object(Bucket=self._bucket, Key=self._prefix + path,
                                             Body=content, **condition)
            except ClientError as error:
                if error_code(error) in ("PreconditionFailed", "ConditionalRequestConflict",
                                    "NoSuchKey", "412", "409"):
                    return None
                raise
            return str(answer["ETag"])

        return self._ask(ask)

    def remove(self, path: str) -> None:
        """Remove an object."""
        self._ask(lambda: self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + path))

    def clear_uploads(self) -> None:
        """Remove the parts of uploads that never came to an end; they would be paid for."""

        def ask() -> None:
            pages = self._s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix)
            for upload in [item for page in pages for item in page.get("Uploads", [])]:
                self._s3.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"],
                                                UploadId=upload["UploadId"])

        self._ask(ask)

    def _read(self, question: Callable[[], Result]) -> Result:
        """Ask again and again: boto3 retries requests, not bodies that break off on the way."""
        for attempt in range(_ATTEMPTS - 1):
            try:
                return self._ask(question)
            except NoAnswerError:
                time.sleep(0.2 * 2**attempt)
        return self._ask(question)

    def _ask(self, question: Callable[[], Result]) -> Result:
        """Put a question to S3, turning boto3's many errors into two."""
        try:
            return question()
        except _NO_CREDENTIALS as error:
            raise RefusedError(f"no AWS credentials ({first_line(error)}): set AWS_ACCESS_KEY_ID "
                               "and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE") from None
        except (NoRegionError, InvalidRegionError) as error:
            raise RefusedError(f"{first_line(error)}: set AWS_DEFAULT_REGION") from None
        except ClientError as error:
            self._refuse(error)
            raise NoAnswerError(first_line(error)) from None
        except (BotoCoreError, Boto3Error, OSError) as error:
            if isinstance(error, OSError) and error.filename:
                raise  # a file of ours, not the network
            # boto3's transfers wrap what S3 said.
            self._refuse(error.__cause__ or error.__context__)
            raise NoAnswerError(first_line(error)) from None
        except KeyError as error:
            raise NoAnswerError(f"an answer without {first_line(error)}: not S3's") from None
        except ValueError as error:  # an endpoint that is no address
            raise UserError(f"--remote {self.url}: {first_line(error)}") from None

    def _refuse(self, error: BaseException | None) -> None:
        code = error_code(error) if isinstance(error, ClientError) else ""
        if code == "NoSuchBucket":
            raise RefusedError(f"there is no bucket {self._bucket}: make it, or name another "
                               "with --remote s3://bucket/prefix") from None
        if code in _REFUSALS:
            raise RefusedError(f"S3 refuses access to {self.url} ({code}): check the credentials "
                               "and the bucket's policy") from None


def error_code(error: ClientError) -> str:
    """AWS's name for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _digests(file: Path) -> tuple[int, str, list[bytes]]:
    """Size, SHA-256, and the MD5 of each part (S3's tags are made of these)."""
    sha, parts, size = hashlib.sha256(), [], 0
    with file.open("rb") as content:
        while block := content.read(PART):
            sha.update(block)
            parts.append(hashlib.md5(block, usedforsecurity=False).digest())
            size += len(block)
    empty = hashlib.md5(b"", usedforsecurity=False).digest()
    return size, sha.hexdigest(), parts or [empty]
