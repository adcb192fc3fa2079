"""A session of boto3 against the endpoint in the environment: prints one line a step, exits 1 on the first fault."""
import io
import os
import sys
import urllib.error
import urllib.request
import uuid

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["ENDPOINT"]
BUCKET = "boto-bucket"
MIB = 1024 * 1024
s3 = boto3.client("s3", endpoint_url=ENDPOINT)
s3v4 = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4"))


def step(name):
    print(name, flush=True)


def same(left, right, what):
    if left != right:
        sys.exit(f"{what}: {str(left)[:200]} is not {str(right)[:200]}")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        same(error.response["Error"]["Code"], code, str(call))
        return
    sys.exit(f"{call} was not refused with {code}")


step(f"boto3 {boto3.__version__}")
refused("404", s3.head_bucket, Bucket=BUCKET)
s3.create_bucket(Bucket=BUCKET)
s3.head_bucket(Bucket=BUCKET)
refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=BUCKET)
same(BUCKET in [b["Name"] for b in s3.list_buckets()["Buckets"]], True, "list_buckets")

step("objects of every size")
for size in [0, 1, 4097, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1]:
    body = os.urandom(size)
    s3.put_object(Bucket=BUCKET, Key=f"size/{size}", Body=body)
    same(s3.get_object(Bucket=BUCKET, Key=f"size/{size}")["Body"].read() == body, True, f"{size} bytes")

step("headers and metadata")
put = s3.put_object(
    Bucket=BUCKET, Key="a b+c/ü", Body=b"hello", Metadata={"k": "v w"}, ContentType="text/x",
    CacheControl="max-age=3", ContentDisposition='attachment; filename="x"', ContentLanguage="de", Tagging="a=b",
)
head = s3.head_object(Bucket=BUCKET, Key="a b+c/ü")
same(head["Metadata"], {"k": "v w"}, "metadata")
same((head["ContentType"], head["CacheControl"], head["ContentLanguage"]), ("text/x", "max-age=3", "de"), "headers")
same(head["ETag"], put["ETag"], "etag")
same(head["ETag"], '"5d41402abc4b2a76b9719d911017c592"', "etag of hello")
same(s3.get_object_tagging(Bucket=BUCKET, Key="a b+c/ü")["TagSet"], [{"Key": "a", "Value": "b"}], "tags")

step("conditions and ranges")
refused("PreconditionFailed", s3.get_object, Bucket=BUCKET, Key="a b+c/ü", IfMatch='"x"')
refused("304", s3.get_object, Bucket=BUCKET, Key="a b+c/ü", IfNoneMatch=head["ETag"])
same(s3.get_object(Bucket=BUCKET, Key="a b+c/ü", Range="bytes=1-3")["Body"].read(), b"ell", "range")
refused("InvalidRange", s3.get_object, Bucket=BUCKET, Key="a b+c/ü", Range="bytes=5-")
refused("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="none")
refused("404", s3.head_object, Bucket=BUCKET, Key="none")
refused("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket")

step("uploads in parts, up and down, and copies of them")
large = os.urandom(17 * MIB + 3)
config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
s3.upload_fileobj(io.BytesIO(large), BUCKET, "large", Config=config, ExtraArgs={"Metadata": {"big": "1"}})
down = io.BytesIO()
s3.download_fileobj(BUCKET, "large", down, Config=config)
same(down.getvalue() == large, True, "large")
s3.copy({"Bucket": BUCKET, "Key": "large"}, BUCKET, "large copy", Config=config)
same(s3.get_object(Bucket=BUCKET, Key="large copy")["Body"].read() == large, True, "large copy")
s3.copy_object(Bucket=BUCKET, Key="tiny copy", CopySource={"Bucket": BUCKET, "Key": "a b+c/ü"})
same(s3.head_object(Bucket=BUCKET, Key="tiny copy")["Metadata"], {"k": "v w"}, "copied metadata")
upload = s3.create_multipart_upload(Bucket=BUCKET, Key="aborted")
s3.upload_part(Bucket=BUCKET, Key="aborted", UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
same(len(s3.list_parts(Bucket=BUCKET, Key="aborted", UploadId=upload["UploadId"])["Parts"]), 1, "list_parts")
same(len(s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]), 1, "list_multipart_uploads")
s3.abort_multipart_upload(Bucket=BUCKET, Key="aborted", UploadId=upload["UploadId"])
refused("NoSuchUpload", s3.list_parts, Bucket=BUCKET, Key="aborted", UploadId=upload["UploadId"])

step("checksums")
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    body = os.urandom(1000)
    s3.put_object(Bucket=BUCKET, Key="sum", Body=body, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=BUCKET, Key="sum", ChecksumMode="ENABLED")
    same(f"Checksum{algorithm}" in got, True, algorithm)
    same(got["Body"].read() == body, True, f"bytes with {algorithm}")

step("listings with every page size and delimiter")
names = sorted([f"list/{d}/{n}" for d in "ab" for n in range(5)] + ["list/x", "list/ü"])
for name in names:
    s3.put_object(Bucket=BUCKET, Key=name, Body=b"")
for size in [1, 2, 3, 7, 1000]:
    for operation in ["list_objects", "list_objects_v2", "list_object_versions"]:
        field = "Versions" if operation.endswith("versions") else "Contents"
        pages = s3.get_paginator(operation).paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": size})
        same(sorted(o["Key"] for p in pages for o in p.get(field, [])), names, f"{operation} by {size}")
        pages = s3.get_paginator(operation).paginate(
            Bucket=BUCKET, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": size})
        pages = list(pages)
        same([c["Prefix"] for p in pages for c in p.get("CommonPrefixes", [])], ["list/a/", "list/b/"], operation)
        same([o["Key"] for p in pages for o in p.get(field, [])], ["list/x", "list/ü"], operation)

step("presigned URLs of both versions, and forms")
for client in [s3, s3v4]:
    url = client.generate_presigned_url("get_object", Params={
        "Bucket": BUCKET, "Key": "a b+c/ü", "ResponseContentType": "text/plain"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        same((answer.read(), answer.headers["Content-Type"]), (b"hello", "text/plain"), "presigned")
    try:
        urllib.request.urlopen(url.replace("/a", "/b"))
        sys.exit("a changed URL opened")
    except urllib.error.HTTPError as error:
        same(error.code, 403, "changed URL")
    form = client.generate_presigned_post(BUCKET, "form/${filename}", Conditions=[["content-length-range", 1, 100]])
    boundary = uuid.uuid4().hex
    body = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                   for name, value in form["fields"].items())
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\nposted\r\n--{boundary}--\r\n'
    request = urllib.request.Request(form["url"], body.encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with urllib.request.urlopen(request) as answer:
        same(answer.status, 204, "form")
    same(s3.get_object(Bucket=BUCKET, Key="form/f.txt")["Body"].read(), b"posted", "posted")

step("settings of the bucket")
rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAgeSeconds": 5}]}
s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=rules)
same(s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"][0]["AllowedOrigins"], ["*"], "cors")
refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)
s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [
    {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}]})
same(s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"][0]["Expiration"], {"Days": 3}, "lifecycle")
s3.delete_bucket_lifecycle(Bucket=BUCKET)
refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=BUCKET)
same(s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"], None, "location")
s3.get_bucket_versioning(Bucket=BUCKET)
s3.get_bucket_acl(Bucket=BUCKET)

if tuple(int(part) for part in boto3.__version__.split(".")[:2]) >= (1, 35):
    step("conditional writes")
    refused("PreconditionFailed", s3.put_object, Bucket=BUCKET, Key="large", Body=b"x", IfNoneMatch="*")
    s3.put_object(Bucket=BUCKET, Key="fresh", Body=b"x", IfNoneMatch="*")

step("deletes")
refused("BucketNotEmpty", s3.delete_bucket, Bucket=BUCKET)
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
    objects = [{"Key": o["Key"]} for o in page["Contents"]]
    same(len(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})["Deleted"]), len(objects), "deleted")
s3.delete_bucket(Bucket=BUCKET)
refused("404", s3.head_bucket, Bucket=BUCKET)
step("done")
