# Two images of one install: `service`, whose words are the command's, and `shell`.
#   docker build --target service -t worldmodels .
#   docker run --rm -it -v "$PWD/logs:/work/logs" worldmodels all testbench/CP_basic
#   docker build --target shell -t worldmodels-shell .
#   docker run --rm -it -v "$PWD/logs:/work/logs" worldmodels-shell
FROM python:3.11.13-slim-bookworm AS installed

ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY worldmodels_repro worldmodels_repro
COPY configs configs
COPY aws aws
COPY docs/results/benchmarks docs/results/benchmarks
# Extras beside those of `all`, e.g. --build-arg EXTRAS=doom,wandb
ARG EXTRAS=""
RUN pip install --constraint constraints.txt ".[all${EXTRAS:+,$EXTRAS}]" \
    && useradd --create-home --uid 1000 worldmodels \
    && install --directory --owner worldmodels /work/logs

USER 1000
WORKDIR /work
# Run folders outlive the container in a volume that is mounted here.
VOLUME ["/work/logs"]

FROM installed AS shell
CMD ["/bin/bash"]

FROM installed AS service
ENTRYPOINT ["worldmodels"]
CMD ["--help"]
