# syntax=docker/dockerfile:1
#   docker build -t openrelay-simulator .
#   docker run --rm -p 8080:8080 openrelay-simulator
#
# BASE is any image with Python 3.11 or later and its venv module; both stages start from it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
COPY . /source
RUN python3 -m venv /opt/simulator \
 && /opt/simulator/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile /source \
 && /opt/simulator/bin/pip uninstall --yes --quiet pip \
 && /opt/simulator/bin/python -m compileall -q /opt/simulator/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="openrelay-simulator" \
      org.opencontainers.image.description="An offline simulator of the OpenRelay GPU-cloud REST API" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/simulator /opt/simulator
# Scenarios and worlds of one's own are mounted here, and named like the bundled ones.
RUN mkdir /scenarios /worlds
ENV PATH=/opt/simulator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENRELAY_SIM_HOST=0.0.0.0 \
    OPENRELAY_SIM_PORT=8080 \
    OPENRELAY_SIM_SCENARIOS=/scenarios \
    OPENRELAY_SIM_WORLDS=/worlds
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
STOPSIGNAL SIGTERM
# No shell and no curl: the command asks for its own health.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["openrelay-simulator", "wait", "--timeout", "2s"]
ENTRYPOINT ["openrelay-simulator"]
CMD ["serve"]
