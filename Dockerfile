# One image for every program of the service; docker-compose.yml says which one runs.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /app
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What is needed by all versions of the code first: a change of the code does not repeat it.
COPY pyproject.toml constraints.txt README.md LICENSE celeryconfig.py flowerconfig.py ./
COPY gateway/pyproject.toml gateway/pyproject.toml
RUN mkdir models spend tasks web worker migrations gateway/spendbeat_gateway \
 && touch models/__init__.py spend/__init__.py tasks/__init__.py web/__init__.py worker/__init__.py \
      migrations/__init__.py gateway/spendbeat_gateway/__init__.py \
 && pip install -c constraints.txt -e . -e gateway
COPY gateway/spendbeat_gateway gateway/spendbeat_gateway
COPY models models
COPY spend spend
COPY tasks tasks
COPY web web
COPY worker worker
COPY migrations migrations

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
# No home, no shell, no files of its own: it writes to Postgres and Redis only.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin spendbeat
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SPENDBEAT_HOME=/tmp/spendbeat
USER 10001
CMD ["spendbeat", "--help"]
