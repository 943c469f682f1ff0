"""The helper process that decodes: asked by the service, and what it answers with."""
