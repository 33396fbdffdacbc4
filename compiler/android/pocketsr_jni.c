/* The engine for Kotlin and Java: class org.pocketsr.Native (docs/android.md shows it).
 *
 * Pixels go through direct byte buffers, RGB24 without gaps between rows, and are not copied.
 * Networks and pools are numbers (their addresses), to be closed once, and not while a frame uses
 * them. Wrong arguments throw IllegalArgumentException, lack of memory OutOfMemoryError.
 */
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>

#include "pocketsr.h"

enum { MAX_NETS = 64, NUMBERS_A_PATCH = sizeof(psr_patch) / sizeof(jint) };

_Static_assert(sizeof(jint) == sizeof(int32_t), "patches are read as jint");

static void throw_new(JNIEnv *env, const char *class_name, const char *message) {
    jclass found = (*env)->FindClass(env, class_name);
    if (found) (*env)->ThrowNew(env, found, message);
}

static void throw_argument(JNIEnv *env, const char *message) {
    throw_new(env, "java/lang/IllegalArgumentException", message);
}

static void throw_error(JNIEnv *env, int error) {
    static const char *const messages[] = {
        [PSR_E_FORMAT] = "not a weights blob of this version",
        [PSR_E_ARCH] = "a network outside the family, or of the other number format",
        [PSR_E_CRC] = "damaged: its checksum is wrong",
        [PSR_E_LIMIT] = "a number in the weights is outside its limits",
        [PSR_E_SELFTEST] = "the self-test gives other pixels here",
        [PSR_E_ARG] = "an argument is wrong: a size, a patch outside the frame, or a path that "
                      "the network has not",
    };
    if (error == PSR_E_NOMEM)
        throw_new(env, "java/lang/OutOfMemoryError", "PocketSR");
    else
        throw_argument(env, messages[error]);
}

/* Java arrays to C; NULL, with an exception pending, where that fails. */
static void *copy_of(JNIEnv *env, size_t n, size_t size) {
    void *memory = malloc(n ? n * size : 1);
    if (!memory) throw_error(env, PSR_E_NOMEM);
    return memory;
}

JNIEXPORT jstring JNICALL Java_org_pocketsr_Native_isa(JNIEnv *env, jclass self) {
    (void)self;
    return (*env)->NewStringUTF(env, psr_isa());
}

JNIEXPORT jlong JNICALL Java_org_pocketsr_Native_openNet(JNIEnv *env, jclass self, jbyteArray blob) {
    (void)self;
    if (!blob) return throw_argument(env, "no weights"), 0;
    const jsize n = (*env)->GetArrayLength(env, blob);
    jbyte *bytes = copy_of(env, (size_t)n, 1);
    if (!bytes) return 0;
    (*env)->GetByteArrayRegion(env, blob, 0, n, bytes);
    psr_net *net = NULL;
    const int error = psr_net_open((const uint8_t *)bytes, (size_t)n, &net);
    const char *fault = error ? psr_fault((const uint8_t *)bytes, (size_t)n) : NULL;
    free(bytes);
    if (fault)
        throw_argument(env, fault);
    else if (error)
        throw_error(env, error);
    return (jlong)(intptr_t)net;
}

JNIEXPORT void JNICALL Java_org_pocketsr_Native_closeNet(JNIEnv *env, jclass self, jlong net) {
    (void)env, (void)self;
    psr_net_close((psr_net *)(intptr_t)net);
}

/* HR pixels that come of so many LR pixels on a side. */
JNIEXPORT jint JNICALL Java_org_pocketsr_Native_hrPx(JNIEnv *env, jclass self, jlong net,
                                                     jint lr_px) {
    (void)env, (void)self;
    return psr_hr_px((const psr_net *)(intptr_t)net, lr_px);
}

/* LR pixels on a side of the network's units: patches begin at their multiples. */
JNIEXPORT jint JNICALL Java_org_pocketsr_Native_unitPx(JNIEnv *env, jclass self, jlong net) {
    (void)env, (void)self;
    return psr_unit_px((const psr_net *)(intptr_t)net);
}

JNIEXPORT jlong JNICALL Java_org_pocketsr_Native_openPool(JNIEnv *env, jclass self, jint threads) {
    (void)self;
    psr_pool *pool = NULL;
    const int error = psr_pool_open(threads, &pool);
    if (error) throw_error(env, error);
    return (jlong)(intptr_t)pool;
}

JNIEXPORT void JNICALL Java_org_pocketsr_Native_closePool(JNIEnv *env, jclass self, jlong pool) {
    (void)env, (void)self;
    psr_pool_close((psr_pool *)(intptr_t)pool);
}

/* Fills `out` with the networks behind `handles`; returns how many, or 0 with an exception. */
static jsize read_nets(JNIEnv *env, jlongArray handles, const psr_net *out[MAX_NETS]) {
    jlong numbers[MAX_NETS];
    const jsize n = handles ? (*env)->GetArrayLength(env, handles) : 0;
    if (n < 1 || n > MAX_NETS) return throw_argument(env, "give 1 to 64 networks"), 0;
    (*env)->GetLongArrayRegion(env, handles, 0, n, numbers);
    for (jsize i = 0; i < n; ++i) {
        out[i] = (const psr_net *)(intptr_t)numbers[i];
        if (!out[i]) return throw_argument(env, "a network is closed"), 0;
    }
    return n;
}

/* The bytes of a direct buffer with room for an image, or NULL with an exception. */
static uint8_t *pixels_of(JNIEnv *env, jobject buffer, int64_t height, int64_t width) {
    uint8_t *bytes = buffer ? (*env)->GetDirectBufferAddress(env, buffer) : NULL;
    if (!bytes)
        throw_argument(env, "pixels must be in a direct byte buffer");
    else if ((*env)->GetDirectBufferCapacity(env, buffer) < height * width * 3)
        throw_argument(env, "a buffer is smaller than its image");
    else
        return bytes;
    return NULL;
}

/* patches: y, x, height, width, network, path of each, in LR pixels without halo. */
JNIEXPORT void JNICALL Java_org_pocketsr_Native_frame(JNIEnv *env, jclass self, jlong pool,
                                                      jlongArray nets, jintArray patches,
                                                      jobject lr, jint height, jint width,
                                                      jobject hr) {
    (void)self;
    const psr_net *found[MAX_NETS];
    const jsize n_nets = read_nets(env, nets, found);
    if (!n_nets) return;
    if (height < 1 || width < 1) return throw_error(env, PSR_E_ARG);
    const int64_t hr_height = psr_hr_px(found[0], height), hr_width = psr_hr_px(found[0], width);
    const uint8_t *from = pixels_of(env, lr, height, width);
    uint8_t *to = from ? pixels_of(env, hr, hr_height, hr_width) : NULL;
    if (!to) return;
    const jsize numbers = patches ? (*env)->GetArrayLength(env, patches) : -1;
    if (numbers < 0 || numbers % NUMBERS_A_PATCH)
        return throw_argument(env, "patches are six numbers each");
    psr_patch *list = copy_of(env, (size_t)numbers, sizeof(jint));
    if (!list) return;
    (*env)->GetIntArrayRegion(env, patches, 0, numbers, (jint *)list);
    const int error =
        psr_frame((psr_pool *)(intptr_t)pool, found, n_nets, list, numbers / NUMBERS_A_PATCH, from,
                  3 * (ptrdiff_t)width, height, width, to, 3 * (ptrdiff_t)hr_width);
    free(list);
    if (error) throw_error(env, error);
}
