FROM python:3.11-slim AS build
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

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home recsys \
    && install -d -o recsys -g recsys /opt/dagster /opt/dagster/logs
COPY --from=build /opt/venv /opt/venv
COPY --chown=recsys deploy/dagster.yaml deploy/workspace.yaml deploy/create_bucket.py /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/dagster
USER recsys
WORKDIR /opt/dagster
# machine code of the kernels, into the user's cache: the package's folder is not the user's
RUN python -m recsys_pipeline.maintenance.warm
EXPOSE 3000 4000
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "recsys_pipeline.definitions"]
