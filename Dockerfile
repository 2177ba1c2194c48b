# One image for every role: `docker run rehearsal work --help`.
FROM python:3.12-slim AS build
WORKDIR /src
COPY infra/requirements infra/requirements
RUN python -m venv /opt/rehearsal \
    && /opt/rehearsal/bin/pip install --no-cache-dir --require-hashes -r infra/requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY events events
COPY projections projections
COPY services services
COPY infra infra
RUN /opt/rehearsal/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/rehearsal/bin/python -m compileall -q /opt/rehearsal

FROM python:3.12-slim
COPY --from=build /opt/rehearsal /opt/rehearsal
# What a role keeps between its lives: the ledger of erasures. Any user may be set.
RUN mkdir -m 1777 /var/lib/rehearsal
ENV PATH=/opt/rehearsal/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REHEARSAL_LOG_FORMAT=json
WORKDIR /var/lib/rehearsal
USER 10001:10001
ENTRYPOINT ["rehearsal"]
CMD ["--help"]
