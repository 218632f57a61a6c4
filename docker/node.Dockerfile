# The node: library, router, contracts and console in one image.
#
#   docker build -f docker/node.Dockerfile -t hopsack-node .
#
# Without an image registry: PYTHON_IMAGE and NODE_IMAGE are a local base image (docker/base-image.sh). That one has no npm,
# so the console is then taken as it was built beside this file (./hopsack up builds it).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:20-bookworm-slim


FROM ${NODE_IMAGE} AS web
WORKDIR /web
COPY web_client ./
RUN if command -v npm >/dev/null; then \
        rm -rf dist && npm ci --no-audit --no-fund && npm run build; \
    elif ! test -f dist/index.html; then \
        echo "the console is not built: there is no npm in this stage and no web_client/dist/index.html beside it." >&2; \
        echo "build it first (./hopsack up does), or give this build a NODE_IMAGE with npm." >&2; \
        exit 1; \
    fi


FROM ${PYTHON_IMAGE} AS build
# The router's accelerator is compiled in this stage; the compiler stays here. Debian's own Python has no headers with it.
RUN headers="$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
 && apt-get update -q \
 && apt-get install -qq --no-install-recommends gcc libc6-dev $(test -f "$headers" || echo libpython3-dev) \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
COPY requirements/bootstrap.txt requirements/build.txt /requirements/
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install -q --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements/bootstrap.txt \
 && /opt/build/bin/uv pip install -q --no-cache --python /opt/build/bin/python --no-deps --require-hashes \
        -r /requirements/build.txt
# The dependencies are a layer of their own: they change far less often than the code.
COPY requirements/node.txt /requirements/
RUN python3 -m venv --without-pip /opt/hopsack \
 && /opt/build/bin/uv pip install -q --no-cache --python /opt/hopsack/bin/python --compile-bytecode \
        --no-deps --require-hashes -r /requirements/node.txt
COPY LICENSE README.md pyproject.toml /src/
COPY src /src/src
COPY router /src/router
RUN cd /src && /opt/build/bin/python -m hatchling build -t wheel -d /wheels \
 && cd /src/router && /opt/build/bin/python -m hatchling build -t wheel -d /wheels \
 && /opt/build/bin/uv pip install -q --no-cache --python /opt/hopsack/bin/python --compile-bytecode \
        --no-deps --no-index /wheels/*.whl


FROM ${PYTHON_IMAGE}
# tini is PID 1: it forwards signals and reaps orphans, under every engine and without anyone passing --init.
RUN apt-get update -q && apt-get install -qq --no-install-recommends tini && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && groupadd --gid 10001 hopsack && useradd --uid 10001 --gid hopsack --no-create-home --home-dir /data hopsack \
 && install -d -m 0700 -o hopsack -g hopsack /data /tokens
COPY --from=build /opt/hopsack /opt/hopsack
COPY --from=web /web/dist /app/web
COPY schemas /app/schemas
COPY docker/mint.py docker/node_ready.py /app/
ENV PATH=/opt/hopsack/bin:$PATH LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOPSACK_HOST=0.0.0.0 HOPSACK_DATA=/data HOPSACK_SCHEMAS=/app/schemas HOPSACK_WEB=/app/web
WORKDIR /app
USER 10001:10001
EXPOSE 8080 8081
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=5 CMD ["python", "-IS", "/app/node_ready.py"]
ENTRYPOINT ["tini", "--", "hopsack"]
CMD ["node", "--json"]
