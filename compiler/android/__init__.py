"""What engines for Android need beside the engine: bionic's names and types, and the JNI layer."""
