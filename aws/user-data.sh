
# The rest of a machine's first and only start; `worldmodels aws launch` puts its settings above.
# It fetches the project and hands over to worldmodels_repro/cloud/machine.py, which runs the
# stage. Whatever happens the machine ends, and its disk and its bill with it.
set -euo pipefail
trap 'shutdown -h now' EXIT
shutdown -h "+$((WM_MINUTES + 15))" # should all else hang

home=${WORLDMODELS_HOME:-/opt/worldmodels}
mkdir -p "$home"
cd "$home"

python=${WORLDMODELS_PYTHON:-python3}
missing=()
command -v git >/dev/null || missing+=(git)
"$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 -qq update
    apt-get -o DPkg::Lock::Timeout=300 -qq install -y "${missing[@]}"
fi

# boto3 fetches the project, and ships logs while the project is being installed.
"$python" -m venv boot
boot/bin/python -m pip install --quiet --disable-pip-version-check boto3
boot/bin/python - <<'PYTHON'
import os
import boto3
bucket = boto3.resource("s3").Bucket(os.environ["WM_BUCKET"])
bucket.download_file(os.environ["WM_BUNDLE"], "source.bundle")
bucket.download_file(os.environ["WM_CONFIG"], "config.yaml")
# Runs that this one starts from: their V, M and C.
for run in os.environ["WM_ALSO"].split():
    for item in bucket.objects.filter(Prefix=f"runs/{run}/"):
        path = item.key.removeprefix("runs/")
        if path.split("/")[1] not in ("rollouts", "latents", ".writer.json"):
            os.makedirs(os.path.dirname(f"logs/{path}"), exist_ok=True)
            bucket.download_file(item.key, f"logs/{path}")
PYTHON
git -c advice.detachedHead=false clone --quiet source.bundle code
cd code
[ -d ../logs ] && cp -r ../logs .

"$home/boot/bin/python" -m worldmodels_repro.cloud.machine bash "$WM_SCRIPT" ../config.yaml \
    --run "logs/$WM_RUN" --remote "s3://$WM_BUCKET/runs/$WM_RUN"
