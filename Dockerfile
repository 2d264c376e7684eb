# The service without root on a read-only file system; everything it keeps is under /data.
#
#   docker build -t ballot-custody .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --pids-limit 256 --memory 1g \
#       --volume custody-data:/data --publish 127.0.0.1:8000:8000 ballot-custody
#
# It wants a proxy with TLS in front (SECURITY.md). For a release, pin the base image by its digest.

FROM python:3.11-slim AS build
COPY requirements.lock /build/
RUN python -m venv /opt/custody \
 && /opt/custody/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        --requirement /build/requirements.lock \
 && /opt/custody/bin/python -m pip uninstall --yes pip setuptools \
 && printf '%s\n' '#!/opt/custody/bin/python -P' 'from app.cli.main import main' 'main()' > /opt/custody/bin/custody \
 && chmod 0755 /opt/custody/bin/custody

FROM python:3.11-slim
RUN groupadd --gid 10001 custody \
 && useradd --uid 10001 --gid custody --no-create-home --home-dir /data --shell /usr/sbin/nologin custody \
 && install --directory --owner custody --group custody --mode 0700 /data
COPY --from=build /opt/custody /opt/custody
COPY LICENSE NOTICE alembic.ini /srv/custody/
COPY migrations /srv/custody/migrations
COPY app /srv/custody/app
RUN /opt/custody/bin/python -m compileall -q /srv/custody/app /srv/custody/migrations

# TMPDIR: SQLite's and Python's scratch files go where writing is possible.
ENV PATH=/opt/custody/bin:$PATH \
    PYTHONPATH=/srv/custody \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/data \
    CUSTODY_DATA_DIR=/data/custody-data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

# Asks from inside, without a shell; an answer other than 200 raises, and so counts as unhealthy.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4).read()"]

# SIGTERM lets the server finish what it has begun: no new requests, open ones answered after their commit.
# `docker stop --time 30` gives it longer than its own 20 seconds.
STOPSIGNAL SIGTERM
CMD ["custody", "serve", "--host", "0.0.0.0"]
