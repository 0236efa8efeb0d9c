FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/education ./cmd/education \
 && mkdir /out/data

# The image holds the binary, the certificate authorities that TLS connections are checked against, and nothing else:
# no shell, no package manager.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/education /education
# A volume made from this directory inherits its owner.
COPY --from=build --chown=65532:65532 /out/data /data

USER 65532:65532
VOLUME /data
# HTTP and LDAP. Inside a container the loopback interface reaches nobody, so both listen on all of them.
EXPOSE 9120 10389
ENV EDUCATION_DATA_DIR=/data \
    EDUCATION_HTTP_ADDR=0.0.0.0:9120 \
    EDUCATION_LDAP_LISTEN=0.0.0.0:10389

ENTRYPOINT ["/education"]
CMD ["serve"]
