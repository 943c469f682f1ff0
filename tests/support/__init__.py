"""What tests share: servers, made sounds, waiting for conditions, a service to drive."""
