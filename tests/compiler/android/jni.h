/* What pocketsr_jni.c uses of the Java Native Interface, declared for the tests: names and types
 * as in its specification, the table of functions shortened. No Java machine can be called so. */
#ifndef PSR_TEST_JNI_H
#define PSR_TEST_JNI_H

#include <stdint.h>

#define JNIEXPORT __attribute__((visibility("default")))
#define JNICALL

typedef int8_t jbyte;
typedef int32_t jint, jsize;
typedef int64_t jlong;
typedef void *jobject;
typedef jobject jclass, jstring, jarray, jbyteArray, jintArray, jlongArray;

struct JNINativeInterface;
typedef const struct JNINativeInterface *JNIEnv;
struct JNINativeInterface {
    jclass (*FindClass)(JNIEnv *, const char *);
    jint (*ThrowNew)(JNIEnv *, jclass, const char *);
    jstring (*NewStringUTF)(JNIEnv *, const char *);
    jsize (*GetArrayLength)(JNIEnv *, jarray);
    void (*GetByteArrayRegion)(JNIEnv *, jbyteArray, jsize, jsize, jbyte *);
    void (*GetIntArrayRegion)(JNIEnv *, jintArray, jsize, jsize, jint *);
    void (*GetLongArrayRegion)(JNIEnv *, jlongArray, jsize, jsize, jlong *);
    void *(*GetDirectBufferAddress)(JNIEnv *, jobject);
    jlong (*GetDirectBufferCapacity)(JNIEnv *, jobject);
};

#endif
