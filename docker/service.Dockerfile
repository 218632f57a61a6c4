# One service: the library and one folder of services/. No Crossbar in here.
#
#   docker build -f docker/service.Dockerfile --build-arg SERVICE=host -t hopsack-host .
#
# Every service's image shares all layers but the last ones. PYTHON_IMAGE as in node.Dockerfile.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


FROM ${PYTHON_IMAGE} AS build
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
COPY requirements/bootstrap.txt requirements/build.txt /requirements/
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install -q --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements/bootstrap.txt \
 && /opt/build/bin/uv pip install -q --no-cache --python /opt/build/bin/python --no-deps --require-hashes \
        -r /requirements/build.txt
COPY requirements/services.txt /requirements/
RUN python3 -m venv --without-pip /opt/hopsack \
 && /opt/build/bin/uv pip install -q --no-cache --python /opt/hopsack/bin/python --compile-bytecode \
        --no-deps --require-hashes -r /requirements/services.txt
COPY LICENSE README.md pyproject.toml /src/
COPY src /src/src
RUN cd /src && /opt/build/bin/python -m hatchling build -t wheel -d /wheels \
 && /opt/build/bin/uv pip install -q --no-cache --python /opt/hopsack/bin/python --compile-bytecode \
        --no-deps --no-index /wheels/*.whl


FROM ${PYTHON_IMAGE}
# tini is PID 1: it forwards signals and reaps orphans, under every engine and without anyone passing --init.
RUN apt-get update -q && apt-get install -qq --no-install-recommends tini && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && groupadd --gid 10001 hopsack && useradd --uid 10001 --gid hopsack --no-create-home --home-dir /data hopsack \
 && install -d -o hopsack -g hopsack /data /tokens
COPY --from=build /opt/hopsack /opt/hopsack
COPY docker/service_ready.py /app/
ENV PATH=/opt/hopsack/bin:$PATH LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOPSACK_DATA=/data HOPSACK_URL=tcp://node:8081
ARG SERVICE
COPY services/hopsack_contracts.py /app/services/
COPY services/${SERVICE} /app/services/${SERVICE}
WORKDIR /app/services/${SERVICE}
USER 10001:10001
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=5 CMD ["python", "-IS", "/app/service_ready.py"]
ENTRYPOINT ["tini", "--", "hopsack"]
CMD ["run", ".", "--ready-file", "/tmp/ready"]
