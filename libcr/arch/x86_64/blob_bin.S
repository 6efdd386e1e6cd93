/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The linked blob as bytes of the lower half, to be copied into the window. */
	.section .rodata
	.globl	cr_blob_image
	.globl	cr_blob_image_end
	.p2align 12
cr_blob_image:
	.incbin "libcr/blob.so"
cr_blob_image_end:
	.section .note.GNU-stack,"",@progbits
