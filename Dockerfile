FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY breaker breaker
COPY lua lua
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/breaker \
    && /opt/breaker/bin/pip install --no-cache-dir --constraint constraints.txt \
        "$(ls /wheels/fleet_breaker-*.whl)[service,cli,sentry]"

FROM python:3.13-slim
COPY --from=build /opt/breaker /opt/breaker
ENV PATH=/opt/breaker/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BREAKER_SERVE_PORT=8429
# The user by number, so that Kubernetes can see that it is not root.
RUN useradd --system --uid 10001 --no-create-home breaker
USER 10001
WORKDIR /tmp
# A wheel without the Lua scripts builds too, and would fail at the first job.
RUN ["python", "-c", "from breaker.protocol.scripts import script, script_names; assert [script(name) for name in script_names()]"]
EXPOSE 8429
# Not with urlopen, which would send the request to the proxy of HTTP_PROXY.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; p = os.environ['BREAKER_SERVE_PORT']; c = http.client.HTTPConnection('127.0.0.1', int(p) if p.isdigit() else 8429, timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["breaker"]
CMD ["serve", "--host", "0.0.0.0"]
