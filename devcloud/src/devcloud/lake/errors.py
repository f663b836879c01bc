"""What the lake refuses, under the codes that Azure Storage uses for it."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
# https://learn.microsoft.com/rest/api/storageservices/data-lake-storage-gen2 (Path, errors)
CODES: dict[str, tuple[int, str]] = {
    "AllSubRequestsShouldBeSameApi": (400, "All batch subrequests should be the same api."),
    "AppendPositionConditionNotMet": (412, "The append position condition specified was not met."),
    "AuthenticationFailed": (
        403,
        (
            "Server failed to authenticate the request. Make sure the value of Authorization "
            "header is formed correctly including the signature."
        ),
    ),
    "AuthorizationPermissionMismatch": (
        403,
        "This request is not authorized to perform this operation using this permission.",
    ),
    "AuthorizationProtocolMismatch": (
        403,
        "This request is not authorized to perform this operation using this protocol.",
    ),
    "AuthorizationResourceTypeMismatch": (
        403,
        "This request is not authorized to perform this operation using this resource type.",
    ),
    "AuthorizationServiceMismatch": (
        403,
        "This request is not authorized to perform this operation using this service.",
    ),
    "AuthorizationSourceIPMismatch": (
        403,
        "This request is not authorized to perform this operation using this source IP.",
    ),
    "BlobArchived": (409, "This operation is not permitted on an archived blob."),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "BlobNotFound": (404, "The specified blob does not exist."),
    "BlockCountExceedsLimit": (409, "The committed block count cannot exceed 50,000 blocks."),
    "BothCrc64AndMd5HeaderPresent": (
        400,
        "Both x-ms-content-crc64 and Content-MD5 are present in the request.",
    ),
    "CannotVerifyCopySource": (404, "The copy source does not exist or may not be read."),
    "ConditionNotMet": (
        412,
        "The condition specified using HTTP conditional header(s) is not met.",
    ),
    "ContainerAlreadyExists": (409, "The specified container already exists."),
    "ContainerBeingDeleted": (
        409,
        "The specified container is being deleted. Try operation later.",
    ),
    "ContainerNotFound": (404, "The specified container does not exist."),
    "CorsPreflightFailure": (
        403,
        "CORS not enabled or no matching rule found for this request.",
    ),
    "Crc64Mismatch": (
        400,
        "The CRC64 value specified in the request did not match that of the received data.",
    ),
    "DirectoryIsNotEmpty": (409, "This operation is not permitted on a non-empty directory."),
    "DirectoryNotEmpty": (
        409,
        "The recursive query parameter value must be true to delete a non-empty directory.",
    ),
    "EmptyMetadataKey": (400, "The key for one of the metadata key-value pairs is empty."),
    "ExceedsMaxBatchRequestCount": (400, "A batch has at most 256 subrequests."),
    "FilesystemAlreadyExists": (409, "The specified filesystem already exists."),
    "FeatureNotYetSupportedForHierarchicalNamespaceAccounts": (
        409,
        "This feature is not yet supported for hierarchical namespace accounts.",
    ),
    "FilesystemBeingDeleted": (
        409,
        "The specified filesystem is being deleted. Try operation later.",
    ),
    "FilesystemNotFound": (404, "The specified filesystem does not exist."),
    "InternalError": (500, "Server encountered an internal error. Please try again."),
    "InvalidAuthenticationInfo": (
        401,
        "Server failed to authenticate the request. The authentication information is invalid.",
    ),
    "InvalidBlobType": (409, "The blob type is invalid for this operation."),
    "InvalidBlobOrBlock": (400, "The specified blob or block content is invalid."),
    "InvalidBlockId": (400, "The specified block ID is invalid. It must be Base64 encoded."),
    "InvalidBlockList": (400, "The specified block list is invalid."),
    "InvalidFlushPosition": (
        400,
        (
            "The uploaded data is not contiguous or the position query parameter value is not "
            "equal to the length of the file after appending the uploaded data."
        ),
    ),
    "InvalidHeaderValue": (400, "The value for one of the HTTP headers is not in correct format."),
    "InvalidInput": (400, "One of the request inputs is not valid."),
    "InvalidMetadata": (
        400,
        "The specified metadata is invalid. It includes characters that are not permitted.",
    ),
    "InvalidMd5": (400, "The MD5 value specified in the request is invalid."),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "InvalidRenameSourcePath": (409, "The source directory cannot be moved into itself."),
    "InvalidResourceName": (400, "The specified resource name contains invalid characters."),
    "InvalidSourceUri": (400, "The source URI is invalid."),
    "InvalidUri": (400, "The request URI is invalid."),
    "InvalidXmlDocument": (400, "The XML of the request body is not valid."),
    "LeaseAlreadyPresent": (409, "There is already a lease present."),
    "LeaseIdMismatchWithBlobOperation": (
        412,
        "The lease ID specified did not match the lease ID for the blob.",
    ),
    "LeaseIdMismatchWithContainerOperation": (
        412,
        "The lease ID specified did not match the lease ID for the container.",
    ),
    "LeaseIdMismatchWithLeaseOperation": (
        409,
        "The lease ID specified did not match the lease ID for the blob.",
    ),
    "LeaseIdMissing": (
        412,
        "There is currently a lease on the blob and no lease ID was specified in the request.",
    ),
    "LeaseIsBreakingAndCannotBeAcquired": (
        409,
        "The lease is breaking and cannot be acquired until it is broken.",
    ),
    "LeaseNotPresentWithBlobOperation": (412, "There is currently no lease on the blob."),
    "LeaseNotPresentWithContainerOperation": (
        412,
        "There is currently no lease on the container.",
    ),
    "LeaseNotPresentWithLeaseOperation": (409, "There is currently no lease on the blob."),
    "MaxBlobSizeConditionNotMet": (412, "The max blob size condition specified was not met."),
    "Md5Mismatch": (400, "The MD5 value specified did not match the MD5 of the received data."),
    "MetadataTooLarge": (
        400,
        "The size of the specified metadata exceeds the maximum size permitted.",
    ),
    "MissingContentLengthHeader": (411, "The content length header was not specified."),
    "MissingRequiredHeader": (400, "An HTTP header that is mandatory was not specified."),
    "MissingRequiredQueryParameter": (400, "A mandatory query parameter was not specified."),
    "MessageNotFound": (404, "The specified message does not exist."),
    "NoPendingCopyOperation": (409, "There is currently no pending copy operation."),
    "NoAuthenticationInformation": (
        401,
        (
            "Server failed to authenticate the request. Please refer to the information in the "
            "www-authenticate header."
        ),
    ),
    "NotImplemented": (501, "The requested operation is not implemented by the local cloud."),
    "OutOfRangeQueryParameterValue": (
        400,
        "A query parameter specified in the request URI is outside the permissible range.",
    ),
    "PathAlreadyExists": (409, "The specified path already exists."),
    "PathConflict": (
        409,
        (
            "The specified path, or an element of the path, exists and its resource type is "
            "invalid for this operation."
        ),
    ),
    "PathNotFound": (404, "The specified path does not exist."),
    "PopReceiptMismatch": (
        400,
        "The specified pop receipt did not match the pop receipt for a dequeued message.",
    ),
    "PublicAccessNotPermitted": (
        409,
        "Public access is not permitted on this storage account.",
    ),
    "QueueAlreadyExists": (409, "The specified queue already exists."),
    "QueueBeingDeleted": (409, "The specified queue is being deleted. Try operation later."),
    "QueueNotFound": (404, "The specified queue does not exist."),
    "RenameDestinationParentPathNotFound": (
        404,
        "The parent directory of the destination path does not exist.",
    ),
    "RequestBodyTooLarge": (413, "The size of the request body exceeds the maximum permitted."),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "ResourceTypeMismatch": (
        409,
        (
            "The specified path, or an element of the path, exists and its resource type is "
            "invalid for this operation."
        ),
    ),
    "SourceConditionNotMet": (
        412,
        "The source condition specified using HTTP conditional header(s) is not met.",
    ),
    "SourcePathNotFound": (404, "The source path for a rename operation does not exist."),
}

# Where the two APIs call the same thing by different names: blob API -> dfs API.
AT_DFS = {
    "BlobAlreadyExists": "PathAlreadyExists",
    "BlobNotFound": "PathNotFound",
    "ContainerAlreadyExists": "FilesystemAlreadyExists",
    "ContainerBeingDeleted": "FilesystemBeingDeleted",
    "ContainerNotFound": "FilesystemNotFound",
    "DirectoryIsNotEmpty": "DirectoryNotEmpty",
    "ResourceTypeMismatch": "PathConflict",
}


class LakeError(Exception):
    """A request that is refused.

    Attributes:
        code: one of `CODES`; which says the status and, without `detail`, the message.
        headers: further headers of the reply.
    """

    def __init__(self, code: str, detail: str = "", headers: dict[str, str] | None = None) -> None:
        self.code = code
        self.status, message = CODES[code]
        self.message = f"{message} {detail}".strip()
        self.headers = headers or {}
        super().__init__(f"{code}: {self.message}")

    def at_dfs(self) -> LakeError:
        """The same refusal under the name that the dfs API has for it."""
        renamed = AT_DFS.get(self.code)
        return LakeError(renamed, headers=self.headers) if renamed else self


class NotModifiedError(Exception):
    """A read whose condition says that the caller has the current version already (304)."""


class ClientGoneError(Exception):
    """The client left before its request was complete: nothing may come of it."""


def not_implemented(what: str) -> LakeError:
    """The refusal of something that Azure has and this lake has not."""
    return LakeError("NotImplemented", f"Not implemented: {what}.")


def body_of(error: LakeError, *, dfs: bool) -> tuple[bytes, str]:
    """Body and content type of a refusal: JSON for the dfs API, XML for the blob API."""
    if dfs:
        document = {"error": {"code": error.code, "message": error.message}}
        return json.dumps(document).encode(), "application/json;charset=utf-8"
    xml = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
    )
    return xml.encode(), "application/xml"
