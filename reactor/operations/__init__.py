"""What people and programs ask of the daemon: one file a resource, each fulfils a protocol of
`reactor.server.services`."""
