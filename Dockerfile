# driftd in a container: docker build --tag driftd:0.1.0 .   (docs/deploy.md says how to run it)

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# What is installed is what requirements.lock pins, by its hashes, less the tools of the tests.
COPY pyproject.toml requirements.lock ./
COPY config/docker/lock_of.py config/docker/
RUN python config/docker/lock_of.py > driftd.lock \
    && python config/docker/lock_of.py hatchling > build.lock \
    && python -m venv --without-pip /opt/driftd \
    && python -m pip --python /opt/driftd/bin/python install --require-hashes --only-binary :all: -r driftd.lock \
    && python -m pip install --require-hashes --only-binary :all: -r build.lock
COPY src src
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/driftd/bin/python install --no-deps --no-index dist/*.whl \
    && mkdir /state
COPY config/docker/livez.py /opt/driftd/

FROM python:3.13-slim
LABEL org.opencontainers.image.title="driftd" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.description="Watches the events of model serving on Kafka for drift"
# In a container the loopback address reaches nobody. The environment goes before the settings file: to listen elsewhere,
# set the variable. Compiled code is kept beside the state, the one place that may be written.
ENV PATH=/opt/driftd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DRIFTD_CONFIG=/etc/driftd/driftd.yaml \
    DRIFTD_HTTP__LISTEN=0.0.0.0:9464 \
    DRIFTD_STATE__DIRECTORY=/var/lib/driftd \
    NUMBA_CACHE_DIR=/var/lib/driftd/numba
COPY --from=build /opt/driftd /opt/driftd
COPY --from=build --chown=65532:65532 /state /var/lib/driftd
COPY config/driftd.yaml /etc/driftd/driftd.yaml
VOLUME /var/lib/driftd
WORKDIR /var/lib/driftd
USER 65532:65532
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "/opt/driftd/livez.py"]
ENTRYPOINT ["driftd"]
CMD ["run", "--config", "/etc/driftd/driftd.yaml"]
