# One node. Build: docker build -t stigmem-trio .   Run: docker run -v stigmem:/data -p 127.0.0.1:8765:8765 stigmem-trio
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY stigmem stigmem
COPY sim sim
# The lock also pins what only developers need, so it serves as constraints: it decides versions, and brings
# nothing in. The simulator is part of the package, so the image has it and its libraries too.
RUN sed -E '/--hash/d; s/ *\\$//' requirements.lock > versions.txt \
 && python -m venv /opt/stigmem \
 && /opt/stigmem/bin/pip install --no-cache-dir --constraint versions.txt hatchling editables \
 && /opt/stigmem/bin/pip install --no-cache-dir --constraint versions.txt --no-build-isolation .

FROM python:3.11-slim
COPY --from=build /opt/stigmem /opt/stigmem
RUN useradd --uid 10001 --create-home stigmem && install -d -o stigmem -g stigmem -m 700 /data
USER stigmem
ENV PATH=/opt/stigmem/bin:$PATH STIGMEM_DATA_DIR=/data STIGMEM_HOST=0.0.0.0 STIGMEM_LOG_STYLE=json
VOLUME /data
EXPOSE 8765
# Over TLS replace this check: a certificate names the node and not 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/readyz', timeout=2)"]
ENTRYPOINT ["stigmem"]
CMD ["serve"]
