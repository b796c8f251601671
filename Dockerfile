# The worker. `docker compose up` builds it; what it runs is chosen by MILLRACE_* variables.
# Its root may be read-only: state is on Kafka, and only /tmp is written to.
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
RUN groupadd --gid 10001 millrace && useradd --create-home --uid 10001 --gid 10001 millrace
COPY --from=build /opt/millrace /opt/millrace
COPY deploy/image/ready.py /opt/millrace/
ENV PATH="/opt/millrace/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A container's loopback is its own: nobody else could read /metrics.
ENV MILLRACE_WEB_HOST=0.0.0.0
# Says what this is, as Podman and systemd do: no key for saved state is made up in a container.
ENV container=oci
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /home/millrace
EXPOSE 6066
# Ready when every agent has its partitions. It asks the port that MILLRACE_WEB_PORT says.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=6 \
    CMD ["python", "/opt/millrace/ready.py"]
ENTRYPOINT ["millrace"]
CMD ["worker"]
