# The hub in an image: docker build -t notification-hub .
FROM python:3.12.11-slim-bookworm AS build
WORKDIR /src
# Exact versions, each by its hash: the same tree gives the same image.
COPY requirements.lock ./
RUN python -m venv /opt/hub && /opt/hub/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY client_js/dist ./client_js/dist
COPY hub ./hub
RUN /opt/hub/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home hub
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HUB_HOST=0.0.0.0 \
    HUB_PORT=8000
USER hub
WORKDIR /etc/hub
EXPOSE 8000
# The process lives. /readyz is for load balancers: a node that is deaf or drains has to stay up.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
    ["python", "-c", "import os, ssl, urllib.request as r; tls = 's' * bool(os.environ.get('HUB_TLS_CERT')); r.urlopen(f'http{tls}://127.0.0.1:' + os.environ['HUB_PORT'] + '/livez', timeout=2, context=ssl._create_unverified_context() if tls else None)"]
# SIGTERM drains: no new connections, the old ones are asked to move. Give it more time than HUB_DRAIN_NOTICE
# and HUB_DRAIN_SECONDS together: docker stop -t 45.
STOPSIGNAL SIGTERM
ENTRYPOINT ["hub"]
CMD ["serve"]
