module github.com/opencloud-eu/education/tests/clients/libre-graph-go

go 1.26.8

require github.com/opencloud-eu/libre-graph-api-go v1.0.8-0.20260310090739-853d972b282d
