# The operator's image. Any base with a shell, Python 3.11 or newer and its venv module will do.
ARG BASE=docker.io/library/python:3.13-slim

# What the operator needs, from its own pyproject.toml: these layers live until a requirement changes.
FROM ${BASE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY operator/pyproject.toml operator/
# Of the distribution `htcdask` it uses htcdask_api alone: no dask and no dask-gateway come with it.
RUN python3 -c 'import tomllib; p = tomllib.load(open("operator/pyproject.toml", "rb"))["project"]; \
    print(*(d for d in p["dependencies"] if not d.startswith("htcdask")), sep="\n")' > requirements.txt \
 && python3 -c 'import tomllib; p = tomllib.load(open("operator/pyproject.toml", "rb")); \
    print(*p["build-system"]["requires"], sep="\n")' > build-requirements.txt \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install -q -r build-requirements.txt \
 && python3 -m venv --without-pip /opt/htcdask \
 && /opt/build/bin/pip --python /opt/htcdask/bin/python3 install -q -r requirements.txt \
 && find /opt/htcdask -name '*.pyi' -delete \
 # The code lies apart, so that a change of it is a small layer.
 && echo /opt/code > "$(echo /opt/htcdask/lib/python3*/site-packages)/code.pth"

FROM dependencies AS code
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY crds crds
COPY operator operator
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /wheels . ./operator \
 && /opt/build/bin/pip --python /opt/htcdask/bin/python3 install -q --no-deps --target /opt/code /wheels/*.whl \
 && /opt/code/bin/htcdask-operator --help > /dev/null

FROM ${BASE}
# HTCondor's library wants its user to have a name.
RUN echo 'htcdask:x:65532:65532:HTCDask operator:/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'htcdask:x:65532:' >> /etc/group
COPY --from=dependencies /opt/htcdask /opt/htcdask
COPY --from=code /opt/code /opt/code
ENV PATH=/opt/code/bin:/opt/htcdask/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CONDOR_CONFIG=/dev/null
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["htcdask-operator"]
