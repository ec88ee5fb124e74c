FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /opt/build/bin/uv venv /opt/venv --python python3.11 \
    && /opt/build/bin/uv pip install --no-cache --python /opt/venv --require-hashes \
        --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY recsys_pipeline recsys_pipeline
RUN /opt/build/bin/uv build --wheel --no-build-isolation --python /opt/build/bin/python -o /dist \
    && /opt/build/bin/uv pip install --no-cache --python /opt/venv --no-deps /dist/*.whl

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-log-init --create-home recsys \
    && install -d -o recsys -g recsys /opt/dagster
COPY --from=build /opt/venv /opt/venv
COPY deploy/dagster.yaml deploy/workspace.yaml deploy/create_bucket.py /opt/dagster/
# two threads go with the usual limit around this image: 2 CPUs and 4 GiB
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    POLARS_MAX_THREADS=2 \
    DAGSTER_HOME=/opt/dagster
# by number, so that a cluster can tell that it isn't root
USER 10001:10001
WORKDIR /opt/dagster
# machine code of the kernels, into the user's cache: the package's folder is not the user's
RUN python -m recsys_pipeline.maintenance.warm
EXPOSE 3000 4000 8002 9101 9108
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "recsys_pipeline.definitions", "--log-format", "json"]
# of the command above; another one brings its own
HEALTHCHECK --interval=30s --timeout=15s --start-period=90s --start-interval=5s --retries=5 \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
