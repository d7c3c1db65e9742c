"""AWS on loopback: moto's HTTP server, and an instance metadata service that only speaks v2."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import requests
from moto.core.common_models import CloudFormationModel
from moto.s3.models import FakeBucket
from moto.server import ThreadedMotoServer
from moto.ssm.models import Parameter, ssm_backends

os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # and their thousand snapshots
ACCOUNT, REGION = "123456789012", "us-east-1"
# What must never be printed; made anew for each run of the tests.
SECRETS = {name: f"{name.lower().replace('_', '-')}-{secrets.token_hex(12)}" for name in (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}
ROLE = {name: secrets.token_hex(20) for name in ("AccessKeyId", "SecretAccessKey", "Token")}
TOKEN = secrets.token_hex(20)
IMAGES = ("/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/"
          "ami-id",
          "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id")


_KEPT: list[type] = []  # moto finds a model while it lives


def assert_no_secret(text: str) -> None:
    """Fail if any credential stands in a text."""
    for secret in (*SECRETS.values(), *ROLE.values(), TOKEN):
        assert secret not in text


class Aws:
    """moto's server, with what its CloudFormation does not do for buckets done by S3's own API."""

    def __init__(self) -> None:
        # The bucket's policy refuses whatever does not come over TLS, as these servers' clients.
        self.tls_only = False
        self._clients: dict[str, Any] = {}
        self._server = ThreadedMotoServer(port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}".replace("0.0.0.0", "127.0.0.1")

    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION,
                "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                "AWS_EC2_METADATA_DISABLED": "true", **SECRETS}

    def reset(self) -> None:
        """Forget everything, then put the images there that the stack looks up."""
        requests.post(f"{self.url}/moto-api/reset", timeout=10)
        for name in IMAGES:
            # Names below /aws are reserved: only the service itself may put them there.
            image = Parameter(  # type: ignore[abstract]  # moto itself makes them
                account_id=ACCOUNT, name=name, value="ami-0123456789abcdef0", description="",
                parameter_type="String",
                allowed_pattern=None, keyid=None, version=1, data_type="text",
                last_modified_date=datetime.datetime.now(datetime.UTC))
            ssm_backends[ACCOUNT][REGION]._parameters[name].append(image)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test",
                aws_secret_access_key="test")
        return self._clients[service]

    def stop(self) -> None:
        self._server.stop()


def extend_moto(aws: Aws) -> None:
    """Have moto's CloudFormation apply a bucket's whole description, and bucket policies."""
    plain = FakeBucket.create_from_cloudformation_json

    def create(name: str, resource: Any, *where: str, **facts: Any) -> Any:
        bucket = plain(name, resource, *where, **facts)
        properties, s3 = resource.get("Properties", {}), aws.client("s3")
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=properties[
            "PublicAccessBlockConfiguration"])
        s3.put_bucket_ownership_controls(Bucket=name,
                                         OwnershipControls=properties["OwnershipControls"])
        s3.put_bucket_versioning(Bucket=name,
                                 VersioningConfiguration=properties["VersioningConfiguration"])
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={
            "Rules": [_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]})
        return bucket

    FakeBucket.create_from_cloudformation_json = staticmethod(create)  # type: ignore[assignment]

    class BucketPolicy(CloudFormationModel):
        __module__ = "moto.s3.models"  # moto files its models by this
        physical_resource_id: str

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return "AWS::S3::BucketPolicy"

        @classmethod
        def create_from_cloudformation_json(
                cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str,
                region_name: str, **facts: Any) -> BucketPolicy:
            properties = cloudformation_json["Properties"]
            if aws.tls_only:
                aws.client("s3").put_bucket_policy(
                    Bucket=properties["Bucket"], Policy=json.dumps(properties["PolicyDocument"]))
            policy = cls()
            policy.physical_resource_id = resource_name
            return policy

    _KEPT.append(BucketPolicy)


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle rule in the S3 API's spelling."""
    tags = rule.get("TagFilters")
    changed = {"ID": rule["Id"], "Filter": {"Tag": tags[0]} if tags else {"Prefix": ""}}
    if "ExpirationInDays" in rule:
        changed["Expiration"] = {"Days": rule["ExpirationInDays"]}
    return changed | {key: value for key, value in rule.items()
                      if key not in ("Id", "TagFilters", "ExpirationInDays")}


class Metadata:
    """169.254.169.254 on loopback: no token, no answer."""

    def __init__(self) -> None:
        self.notice: str | None = None
        self.refused = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                wanted = "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
                self._answer(200 if wanted and self.path == "/latest/api/token" else 400, TOKEN)

            def do_GET(self) -> None:
                if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                    service.refused += 1
                    self._answer(401, "")
                    return
                value = service.values().get(self.path.removeprefix("/latest/meta-data/"))
                self._answer(404 if value is None else 200, value or "")

            def _answer(self, code: int, text: str) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def values(self) -> dict[str, str | None]:
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=6)
        role = {"Code": "Success", "Type": "AWS-HMAC", "Expiration":
                f"{later:%Y-%m-%dT%H:%M:%SZ}", "LastUpdated": "2026-01-01T00:00:00Z", **ROLE}
        return {"instance-id": "i-0123456789abcdef0", "placement/availability-zone": f"{REGION}a",
                "iam/security-credentials/": "machine",
                "iam/security-credentials/machine": json.dumps(role),
                "spot/instance-action": self.notice}

    def give_notice(self) -> None:
        """AWS wants the machine back in two minutes."""
        then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
        self.notice = json.dumps({"action": "terminate", "time": f"{then:%Y-%m-%dT%H:%M:%SZ}"})

    def stop(self) -> None:
        self._server.shutdown()
