/* Calls the JNI glue as an app would: call_jni WEIGHTS LR HR HEIGHT WIDTH. LR and HR are files of
 * RGB24; the frame is two patches, cut at the network's units. Then one wrong call of each kind. Prints a line for each: what it returned, or threw. */
#include <jni.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

jstring Java_org_pocketsr_Native_isa(JNIEnv *, jclass);
jlong Java_org_pocketsr_Native_openNet(JNIEnv *, jclass, jbyteArray);
void Java_org_pocketsr_Native_closeNet(JNIEnv *, jclass, jlong);
jint Java_org_pocketsr_Native_hrPx(JNIEnv *, jclass, jlong, jint);
jint Java_org_pocketsr_Native_unitPx(JNIEnv *, jclass, jlong);
jlong Java_org_pocketsr_Native_openPool(JNIEnv *, jclass, jint);
void Java_org_pocketsr_Native_closePool(JNIEnv *, jclass, jlong);
void Java_org_pocketsr_Native_frame(JNIEnv *, jclass, jlong, jlongArray, jintArray, jobject, jint,
                                    jint, jobject);

/* Arrays and direct buffers of this Java. `n` counts elements; */
typedef struct {
    void *data;
    jlong n;
    int is_direct;
} object;

static char thrown[256];

static jclass find_class(JNIEnv *env, const char *name) { return (void)env, (jclass)name; }
static jint throw_new(JNIEnv *env, jclass class_name, const char *message) {
    (void)env;
    snprintf(thrown, sizeof thrown, "%s: %s", (const char *)class_name, message);
    return 0;
}
static jstring new_string(JNIEnv *env, const char *text) { return (void)env, (jstring)text; }
static jsize length(JNIEnv *env, jarray a) { return (void)env, (jsize)((object *)a)->n; }
static void region(jarray from, jsize start, jsize n, void *to, size_t size) {
    memcpy(to, (char *)((object *)from)->data + (size_t)start * size, (size_t)n * size);
}
static void bytes(JNIEnv *env, jarray a, jsize start, jsize n, jbyte *to) {
    (void)env, region(a, start, n, to, sizeof *to);
}
static void ints(JNIEnv *env, jarray a, jsize start, jsize n, jint *to) {
    (void)env, region(a, start, n, to, sizeof *to);
}
static void longs(JNIEnv *env, jarray a, jsize start, jsize n, jlong *to) {
    (void)env, region(a, start, n, to, sizeof *to);
}
static void *address(JNIEnv *env, jobject b) {
    (void)env;
    return ((object *)b)->is_direct ? ((object *)b)->data : NULL;
}
static jlong capacity(JNIEnv *env, jobject b) { return (void)env, ((object *)b)->n; }

static const struct JNINativeInterface table = {find_class, throw_new, new_string, length, bytes,
                                                ints,       longs,     address,    capacity};

static void report(const char *what) {
    printf("%s: %s\n", what, *thrown ? thrown : "done");
    *thrown = 0;
}

static object read_file(const char *path) {
    FILE *stream = fopen(path, "rb");
    if (!stream) exit(1);
    fseek(stream, 0, SEEK_END);
    object found = {NULL, ftell(stream), 1};
    found.data = malloc((size_t)found.n);
    rewind(stream);
    if (fread(found.data, 1, (size_t)found.n, stream) != (size_t)found.n) exit(1);
    fclose(stream);
    return found;
}

int main(int n, char **arguments) {
    if (n != 6) return 2;
    JNIEnv functions = &table, *env = &functions;
    object blob = read_file(arguments[1]), lr = read_file(arguments[2]);
    const jint height = atoi(arguments[4]), width = atoi(arguments[5]);
    jlong net = Java_org_pocketsr_Native_openNet(env, NULL, &blob);
    report("openNet");
    const jint hr_height = Java_org_pocketsr_Native_hrPx(env, NULL, net, height);
    const jint hr_width = Java_org_pocketsr_Native_hrPx(env, NULL, net, width);
    const jint unit = Java_org_pocketsr_Native_unitPx(env, NULL, net);
    const jlong pool = Java_org_pocketsr_Native_openPool(env, NULL, 2);
    report("openPool");
    object hr = {NULL, (jlong)hr_height * hr_width * 3, 1}, nets = {&net, 1, 0};
    hr.data = calloc((size_t)hr.n, 1);
    jint patch[] = {0, 0, height, 2 * unit, 0, 2, 0, 2 * unit, height, width - 2 * unit, 0, 2};
    object patches = {patch, 12, 0}, uneven = {patch, 5, 0}, heap = {lr.data, lr.n, 0};
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &lr, height, width, &hr);
    report("frame");
    FILE *out = fopen(arguments[3], "wb");
    if (!out || fwrite(hr.data, 1, (size_t)hr.n, out) != (size_t)hr.n || fclose(out)) return 1;
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &heap, height, width, &hr);
    report("heap buffer");
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &lr, height + 1, width, &hr);
    report("small LR buffer");
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &lr, height, width, &lr);
    report("small HR buffer");
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &uneven, &lr, height, width, &hr);
    report("uneven patches");
    Java_org_pocketsr_Native_frame(env, NULL, pool, NULL, &patches, &lr, height, width, &hr);
    report("no networks");
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &lr, -1, width, &hr);
    report("negative height");
    patch[9] = width + 1;
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &lr, height, width, &hr);
    report("patch outside");
    patch[7] = 2 * unit - 1, patch[9] = width - 2 * unit + 1;
    Java_org_pocketsr_Native_frame(env, NULL, pool, &nets, &patches, &lr, height, width, &hr);
    report("patch within a unit");
    ((char *)blob.data)[blob.n / 2] ^= 1;
    Java_org_pocketsr_Native_openNet(env, NULL, &blob);
    report("damaged weights");
    Java_org_pocketsr_Native_openNet(env, NULL, NULL);
    report("no weights");
    Java_org_pocketsr_Native_openPool(env, NULL, 0);
    report("no threads");
    printf("isa: %s\n", (const char *)Java_org_pocketsr_Native_isa(env, NULL));
    Java_org_pocketsr_Native_closePool(env, NULL, pool);
    Java_org_pocketsr_Native_closeNet(env, NULL, net);
    return 0;
}
