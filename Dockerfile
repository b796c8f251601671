# The worker. `docker compose up` builds it; what it runs is chosen by MILLRACE_* variables.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/millrace
ENV PATH="/opt/millrace/bin:$PATH"
WORKDIR /src
COPY requirements-runtime.lock ./
RUN pip install --require-hashes --no-deps -r requirements-runtime.lock
COPY . ./
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --create-home --uid 10001 millrace
COPY --from=build /opt/millrace /opt/millrace
ENV PATH="/opt/millrace/bin:$PATH" PYTHONUNBUFFERED=1
# Says what this is, as Podman and systemd do: no key for saved state is made up in a container.
ENV container=oci
USER millrace
WORKDIR /home/millrace
EXPOSE 6066
# Ready when every agent has its partitions. A container's loopback is its own, so this asks
# whatever MILLRACE_WEB_HOST is, as long as it covers 127.0.0.1.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=6 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:6066/readyz', timeout=2)"]
ENTRYPOINT ["millrace"]
CMD ["worker"]
