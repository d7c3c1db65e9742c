"""The account at the other end: clients, and one line for each way in which AWS says no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from worldmodels_repro.errors import UserError
from worldmodels_repro.remote.store import error_code

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=10,
                 read_timeout=60)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError,
                   ProfileNotFound, SSOError, TokenRetrievalError)
_BAD_CREDENTIALS = {"AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch",
                    "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException",
                    "RequestExpired", "InvalidAccessKeyId", "InvalidToken"}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"}
_QUOTA = {"VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded"}
_NO_ROOM = {"InsufficientInstanceCapacity", "SpotMaxPriceTooLow", "Unsupported",
            "InsufficientCapacityOnHost"}
_ADVICE = {
    "InvalidKeyPair.NotFound": "name one of your EC2 key pairs with worldmodels aws up --key",
    "OptInRequired": "finish the account's sign-up in the AWS console",
    "PendingVerification": "AWS is still verifying the account: try again in some hours",
    "VPCIdNotSpecified": "type aws ec2 create-default-vpc",
    "DefaultVpcDoesNotExist": "type aws ec2 create-default-vpc",
    "DataUnavailableException": "Cost Explorer has no data yet: open it once in the AWS console, "
                                "and look again a day later",
}


@dataclass
class Account:
    """Clients of one region, and the tag that everything of the project carries.

    Attributes:
        project: value of the tag ``project``, and the stack's name.
        region: None takes the one from the environment or ``~/.aws/config``.

    Raises:
        UserError: no region is named anywhere.
    """

    project: str
    region: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with plain_errors():
            self._session = boto3.session.Session(region_name=self.region)
            self.region = self._session.region_name
        if not self.region:
            raise UserError("no AWS region: add --region us-east-1 (or another), or export "
                            "AWS_DEFAULT_REGION")

    def client(self, service: str) -> Any:
        """A boto3 client, made once."""
        if service not in self._clients:
            # Cost Explorer and the prices live in one region for all.
            region = "us-east-1" if service == "ce" else self.region
            self._clients[service] = self._session.client(service, region_name=region,
                                                          config=_CONFIG)
        return self._clients[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Everything that a paged operation lists under ``key``."""
        paginator = self.client(service).get_paginator(operation)
        return [item for page in paginator.paginate(**arguments) for item in page.get(key, [])]

    def tag_filter(self) -> list[dict[str, Any]]:
        """EC2's filter for what carries the project's tag."""
        return [{"Name": "tag:project", "Values": [self.project]}]

    def tags(self, run: str = "none", stage: str = "none") -> list[dict[str, str]]:
        """The three tags of everything that is made."""
        values = {"project": self.project, "run": run, "stage": stage}
        return [{"Key": key, "Value": value} for key, value in values.items()]


def tag(item: dict[str, Any], key: str) -> str:
    """A tag's value; empty where the item does not carry it."""
    return next((str(pair["Value"]) for pair in item.get("Tags") or [] if pair["Key"] == key), "")


def ignoring(call: Callable[[], Any], *codes: str) -> Any:
    """Make a call; None where it fails with one of these codes (what is to go is gone)."""
    try:
        return call()
    except ClientError as error:
        if not any(error_code(error).startswith(expected) for expected in codes):
            raise
        return None


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn boto3's errors into one line that says what to type.

    Raises:
        UserError: in place of every error of boto3 and botocore.
    """
    try:
        yield
    except _NO_CREDENTIALS as error:
        raise UserError(f"no AWS credentials ({_line(error)}): type aws configure, or export "
                        "AWS_PROFILE") from None
    except (NoRegionError, InvalidRegionError) as error:
        raise UserError(f"{_line(error)}: add --region us-east-1, or another") from None
    except ClientError as error:
        raise UserError(_explain(error)) from None
    except (EndpointConnectionError, ConnectionError, HTTPClientError) as error:
        raise UserError(f"AWS can't be reached ({_line(error)}): check the network and --region, "
                        "and type the same command again") from None
    except (BotoCoreError, Boto3Error, ResponseParserError) as error:
        if isinstance(error.__context__, ClientError):  # a transfer wraps what S3 said
            raise UserError(_explain(error.__context__)) from None
        raise UserError(f"{_line(error)}: mend that and type the same command again") from None


def _explain(error: ClientError) -> str:
    operation, name = error.operation_name, error_code(error)
    if name in _BAD_CREDENTIALS:
        return (f"AWS does not take the credentials ({name}): type aws configure, or aws sso "
                "login, and the same command again")
    if name in _FORBIDDEN:
        return (f"these credentials may not call {operation} ({name}): have your administrator "
                "allow it (docs/aws.md lists what is needed)")
    if name in _QUOTA:
        return (f"{operation}: the account's quota of vCPUs is too small ({name}): ask for more "
                "under Service Quotas > Amazon EC2 in the console, or name a smaller machine with "
                "--instance-type")
    if name in _NO_ROOM:
        return (f"{operation}: AWS has no such machine free now ({name}): name another with "
                "--instance-type, leave --spot out, or try another --region")
    advice = _ADVICE.get(name, "type the same command again; worldmodels aws down removes "
                               "what was made")
    return f"{operation}: {_line(error)}: {advice}"


def _line(error: BaseException) -> str:
    """The first line of an error, short enough for one line of the terminal's few."""
    message = str(error)
    if isinstance(error, ClientError):
        message = f"{error_code(error)}: {error.response['Error'].get('Message', '')}"
    lines = message.splitlines()
    # What follows is of no use to a reader, and long.
    return (lines[0] if lines else type(error).__name__).split(" Encoded auth")[0][:300].rstrip(".")
