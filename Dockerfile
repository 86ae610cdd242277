# The operator's image. Any Debian-like base with Python 3.11 or newer and its venv module will do.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
RUN python3 -m venv /opt/htcdask
ENV PATH=/opt/htcdask/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# What the project needs, from its own pyproject.toml: this layer lives until a requirement changes.
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; \
p = tomllib.load(open("pyproject.toml", "rb")); \
print(*p["project"]["optional-dependencies"]["operator"], *(d for d in p["project"]["dependencies"] if d.startswith("pydantic")), sep="\n")' \
      > requirements.txt \
 && pip install -r requirements.txt \
 && pip install --target /opt/backend "$(python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')"
COPY README.md LICENSE ./
COPY client client
COPY crds crds
COPY gateway gateway
COPY operator operator
# The operator needs neither dask nor dask-gateway: they are the notebook's dependencies.
RUN PYTHONPATH=/opt/backend pip install --no-deps --no-build-isolation . \
 && htcdask-operator --help > /dev/null \
 && python3 -m pip uninstall -q -y pip \
 && find /opt/htcdask -name '*.pyi' -delete

FROM ${BASE}
# HTCondor's library wants its user to have a name.
RUN echo 'htcdask:x:65532:65532:HTCDask operator:/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'htcdask:x:65532:' >> /etc/group
COPY --from=build /opt/htcdask /opt/htcdask
ENV PATH=/opt/htcdask/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CONDOR_CONFIG=/dev/null
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["htcdask-operator"]
